/** Whoever signs a proposal says yes to it on a terminal, having read it there. */
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { done, makeKey, openCeremony } from '../../support/ceremony.ts'
import type { Holder } from '../../support/ceremony.ts'
import { TAGSEAL } from '../../support/programs.ts'
import { whyNoRegistry } from '../../support/registry.ts'

/** util-linux's `script` gives the program a real terminal and passes on what is typed. */
const noScript = spawnSync('script', ['--version']).status === 0 ? false : 'no script(1) on this machine'
const skip = (await whyNoRegistry()) ?? noScript

/** What the terminal showed, and the exit code. */
function typing({ home }: Holder, file: string, answer: string): Promise<{ shown: string; code: number | null }> {
  return new Promise((resolve, reject) => {
    const command = `'${process.execPath}' '${TAGSEAL}' root sign '${file}' --offline < /dev/null 2> /dev/null`
    const env = { ...process.env, TAGSEAL_HOME: home, HOME: home }
    const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], { env })
    let shown = ''
    let asked = false
    child.stdout.on('data', (chunk: Buffer) => {
      shown += chunk.toString()
      if (asked || !shown.includes('(yes or no)')) return
      asked = true
      child.stdin.write(answer)
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ shown, code }))
  })
}

await t.test('a person at a terminal', { skip }, async (t) => {
  const ceremony = await openCeremony(t)
  const alice = ceremony.holder('alice')
  const [key, file] = [await makeKey(alice), alice.path('first.json')]
  const wish = ['--add-root', `alice=${key}`, '--add-targets', key, '--out', file]
  done(t, await alice.online(['root', 'propose', ceremony.repository, ...wish]))
  const unsigned = readFileSync(file)

  for (const [name, answer] of Object.entries({
    no: 'no\n',
    'the end of input': '\u0004',
    y: 'y\n',
  })) {
    await t.test(`who answers ${name} has signed nothing`, async (t) => {
      const { shown, code } = await typing(alice, file, answer)
      t.equal(code, 1)
      t.match(shown, 'root 1 of ', 'and has seen what it was about, though stderr was sent away')
      t.ok(readFileSync(file).equals(unsigned))
    })
  }
  await t.test('who answers yes has signed', async (t) => {
    const { shown, code } = await typing(alice, file, 'yes\n')
    t.equal(code, 0)
    t.match(shown, /is signed by alice/)
    t.notOk(readFileSync(file).equals(unsigned))
  })
  await t.test('and where there is no terminal, --yes has to be said', async (t) => {
    done(
      t,
      await alice.online(['root', 'propose', ceremony.repository, ...wish.slice(0, -1), alice.path('other.json')]),
    )
    const came = await alice.apart(['root', 'sign', alice.path('other.json'), '--offline'])
    t.match(came, { exit: 2, code: 'USAGE', stderr: /hint: .*--yes/ })
  })
})
