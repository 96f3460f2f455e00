import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readUserFile } from '../../client/files.ts'

const dir = t.testdir({ empty: '', folder: {}, small: 'ten bytes!' })
const at = (name: string) => join(dir, name)
const text = async (path: string, most: number) => Buffer.from(await readUserFile(path, most)).toString('utf8')

/** A pipe with a name, and a program that writes into it a moment later. */
async function withPipe<T>(said: string, use: (path: string) => Promise<T>): Promise<T> {
  const path = at(`pipe-${said.length}`)
  execFileSync('sh', ['-c', 'mkfifo "$0"', path])
  const writer = spawn('sh', ['-c', `sleep 0.1; printf %s "$0" > "$1"`, said, path], { stdio: 'ignore' })
  const ended = once(writer, 'exit')
  try {
    return await use(path)
  } finally {
    await ended
  }
}

await t.test('a file is read whole', async (t) => {
  t.equal(await text(at('small'), 10), 'ten bytes!', 'of just the size that it may have')
  t.equal(await text(at('empty'), 10), '')
  writeFileSync(at('large'), 'x'.repeat(300_000))
  t.equal((await text(at('large'), 4_000_000)).length, 300_000)
  t.match(await text('/proc/self/status', 100_000), /^Name:/, 'also one that says it has no size')
})

await t.test('a pipe is waited for', async (t) => {
  t.equal(await withPipe('comes later', (path) => text(path, 100)), 'comes later')
})

const REFUSED: Record<string, { readonly path: string; readonly why: RegExp }> = {
  'a file that is larger than it may be': { path: at('small'), why: /larger than 9 bytes/ },
  'a file that is not there': { path: at('nothing'), why: /no such file/ },
  'a folder': { path: at('folder'), why: /it is a folder/ },
}
for (const [name, { path, why }] of Object.entries(REFUSED)) {
  await t.test(`refuses ${name}`, async (t) => {
    await t.rejects(readUserFile(path, 9), { code: 'FILE_UNREADABLE', message: why })
  })
}

await t.test('refuses a pipe that says more than it may', async (t) => {
  await withPipe('x'.repeat(20), async (path) => {
    await t.rejects(readUserFile(path, 9), { code: 'FILE_UNREADABLE', message: /larger than 9 bytes/ })
  })
})
