import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Line } from '../../../keys/keystore/terminal.ts'

const PROGRAM = fileURLToPath(new URL('../../support/ask-passphrase.ts', import.meta.url))
const hex = (text: string): string => Buffer.from(text).toString('hex')
/** util-linux's `script` gives the program a real terminal and passes on what is typed. */
const skip = spawnSync('script', ['--version']).status === 0 ? false : 'no script(1) on this machine'

/** Types each answer when its prompt shows; everything the terminal showed. */
function typing(answers: Readonly<Record<string, string>>): Promise<string> {
  return new Promise((resolve, reject) => {
    const command = `'${process.execPath}' '${PROGRAM}' < /dev/null`
    const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'])
    const left = new Map(Object.entries(answers))
    let shown = ''
    child.stdout.on('data', (chunk: Buffer) => {
      shown += chunk.toString()
      for (const [prompt, answer] of left) {
        if (!shown.includes(prompt)) continue
        left.delete(prompt)
        child.stdin.write(answer)
      }
    })
    child.on('error', reject)
    child.on('close', () => resolve(shown))
  })
}

await t.test(
  'asks on the terminal even where stdin is not one, and shows nothing of what is typed',
  { skip },
  async (t) => {
    const shown = await typing({ 'first: ': 'correct hörse\r', 'second: ': 'wrongx\x7f\x7f second\n' })
    t.match(shown, `GOT ${hex('correct hörse')} END`)
    t.match(shown, `GOT ${hex('wron second')} END`)
    t.notMatch(shown, /hörse|wrong/)
  },
)

await t.test('an interrupt cancels', { skip }, async (t) => {
  t.match(await typing({ 'first: ': 'half a passphra\x03' }), 'PASSPHRASE_CANCELLED')
})

await t.test('the end of input cancels an empty line and ends another', { skip }, async (t) => {
  const shown = await typing({ 'first: ': 'typed\x04', 'second: ': '\x04' })
  t.match(shown, `GOT ${hex('typed')} END`)
  t.match(shown, 'PASSPHRASE_CANCELLED')
})

await t.test('without a terminal there is nobody to ask', { skip }, async (t) => {
  const { stdout } = spawnSync('setsid', ['--wait', process.execPath, PROGRAM], { encoding: 'utf8' })
  t.equal(stdout, 'NO TERMINAL\n')
})

const LINES: Record<string, { typed: string; line?: string; ends: 'more' | 'done' | 'cancelled' }> = {
  'a line': { typed: 'abc\r', line: 'abc', ends: 'done' },
  'an empty line': { typed: '\n', line: '', ends: 'done' },
  'what follows the line': { typed: 'abc\rdef', line: 'abc', ends: 'done' },
  'a correction': { typed: 'abd\x7fc\n', line: 'abc', ends: 'done' },
  'more corrections than letters': { typed: 'a\b\b\bb\n', line: 'b', ends: 'done' },
  'a letter of several bytes taken back': { typed: 'aé€😀\x7f\x7f\x7fb\n', line: 'ab', ends: 'done' },
  'a whole line taken back': { typed: 'abc\x15def\n', line: 'def', ends: 'done' },
  'control characters': { typed: 'a\x01\x1b\tb\n', line: 'ab', ends: 'done' },
  'the end of input after letters': { typed: 'abc\x04', line: 'abc', ends: 'done' },
  'the end of input at once': { typed: '\x04', ends: 'cancelled' },
  'an interrupt': { typed: 'abc\x03', ends: 'cancelled' },
  'a line that goes on': { typed: 'abc', ends: 'more' },
  'a line beyond all measure': { typed: `${'x'.repeat(5000)}\n`, line: 'x'.repeat(1024), ends: 'done' },
}
for (const [name, { typed, line: expected, ends }] of Object.entries(LINES)) {
  await t.test(`understands ${name}`, async (t) => {
    const line = new Line()
    t.equal(line.type(Buffer.from(typed)), ends)
    if (expected !== undefined) t.equal(Buffer.from(line.take()).toString(), expected)
    if (ends === 'done') t.equal(line.take().length, 0, 'it is gone')
  })
}
