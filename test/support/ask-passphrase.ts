import { isKeyError } from '../../keys/errors.ts'
import { openTerminal } from '../../keys/keystore/terminal.ts'

/** Asks on its terminal and says on stdout, in hex, what it understood: a program for `terminal.test.ts`. */
const terminal = openTerminal()
if (terminal === undefined) {
  console.log('NO TERMINAL')
} else {
  try {
    for (const prompt of ['first: ', 'second: ']) {
      const line = await terminal.ask(prompt)
      console.log(`GOT ${Buffer.from(line).toString('hex')} END`)
    }
  } catch (error) {
    console.log(isKeyError(error) ? error.code : error)
  }
  terminal.close()
}
