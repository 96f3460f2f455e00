import t from 'tap'
import { parseArguments } from '../../../client/commands/program.ts'
import { COMMANDS } from '../../../client/commands/table.ts'

const FACTS = { version: '0.0.0' }
const names = Object.entries(COMMANDS).flatMap(([name, entry]) =>
  'commands' in entry ? [name, ...Object.keys(entry.commands).map((inner) => `${name} ${inner}`)] : [name],
)

await t.test('the help of every command, and of every group, ends with an example of it', async (t) => {
  for (const name of names) {
    const help = await parseArguments([...name.split(' '), '--help'], FACTS)
    const examples = help.kind === 'help' ? help.text.split(/^Examples?:$/m)[1] : undefined
    t.match(examples, new RegExp(`^  .*tagseal ${name} ?`, 'm'), name)
  }
})
