import t from 'tap'
import { openTerminal } from '../../client/terminal.ts'

function heard(isTTY = false) {
  const [out, err]: [string[], string[]] = [[], []]
  const terminal = openTerminal({
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text), isTTY },
    quiet: false,
    verbose: true,
    env: { NO_COLOR: '1' },
    monotonic: () => 0,
  })
  return { terminal, out, err }
}

const NAMES: Record<string, string> = {
  'a line of its own': 'x\nhint: do as I say',
  'a carriage return': 'x\rerror: all is well',
  'another way to end a line': 'x\u2028hint: y\u2029z\u0085',
  'an escape sequence': '\u001b[2Jx',
  'text turned round': 'x\u202ecba',
}

await t.test('a name from outside writes no line and moves no cursor', async (t) => {
  for (const [what, name] of Object.entries(NAMES)) {
    const { terminal, out, err } = heard()
    for (const say of [terminal.out, terminal.note, terminal.detail, terminal.warn, terminal.error, terminal.hint]) {
      say(`role ${name} is there`)
    }
    t.equal(out.length + err.length, 6, what)
    for (const line of [...out, ...err]) t.match(line, /^[\x20-\x7e]*\n$/, what)
    terminal.json({ name })
    t.notMatch(out.at(-1), /[^\x20-\x7e\n\u2028\u2029]/, what)
  }
})
