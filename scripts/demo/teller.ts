/** How the story is told: one line for each thing that happened. Colours only for a person at a terminal. */
import { styleText } from 'node:util'

export type Teller = {
  readonly title: (text: string) => void
  readonly did: (what: string, result: string) => void
  readonly refused: (what: string, code: string, why: string) => void
  readonly note: (text: string) => void
}

type Style = 'bold' | 'green' | 'red' | 'dim'

export function openTeller(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Teller {
  const coloured = stream.isTTY && (env['NO_COLOR'] ?? '') === ''
  const paint = (style: Style, text: string) => (coloured ? styleText(style, text, { validateStream: false }) : text)
  const line = (text: string) => void stream.write(`${text}\n`)
  return {
    title: (text) => line(`\n${paint('bold', text)}`),
    did: (what, result) => line(`  ${paint('green', what.padEnd(10))} ${result}`),
    refused: (what, code, why) =>
      line(`  ${paint('red', 'refused')}  ${what}: ${paint('bold', code)}\n           ${paint('dim', why)}`),
    note: (text) => line(`  ${paint('dim', text)}`),
  }
}
