import t from 'tap'
import { choose } from '../../client/kept-code.ts'

const BUILT = {
  whole: 'whole.cjs',
  quick: 'quick.cjs',
  commands: ['init', 'sign', 'verify', 'list', 'trust'],
  quickCommands: ['sign', 'verify'],
}

const CASES: Record<string, { readonly argv: readonly string[]; readonly file: string; readonly name: string }> = {
  'a command of the quick program': { argv: ['sign', 'a:1'], file: 'quick.cjs', name: 'sign' },
  'options before it': { argv: ['--home', '/x', '--json', 'verify', 'a:1'], file: 'quick.cjs', name: 'verify' },
  'its help': { argv: ['help', 'sign'], file: 'quick.cjs', name: 'sign' },
  'a command that only the whole one has': { argv: ['init', 'a'], file: 'whole.cjs', name: 'whole-init' },
  'a group whose command is called like another': { argv: ['trust', 'list'], file: 'whole.cjs', name: 'whole-list' },
  'an option whose value is called like another command': {
    argv: ['--home', 'list', 'verify', 'a:1'],
    file: 'whole.cjs',
    name: 'whole-verify',
  },
  'two commands of the quick one': { argv: ['verify', 'sign'], file: 'whole.cjs', name: 'whole-sign' },
  'no command': { argv: ['--version'], file: 'whole.cjs', name: 'other' },
  'a word that no command is called': { argv: ['signs', 'a:1'], file: 'whole.cjs', name: 'other' },
}
for (const [name, { argv, ...chosen }] of Object.entries(CASES)) {
  await t.test(`${name}: ${chosen.file}`, async (t) => {
    t.same(choose(argv, BUILT), chosen)
  })
}
