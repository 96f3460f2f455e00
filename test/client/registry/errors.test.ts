import * as fc from 'fast-check'
import t from 'tap'
import { isRegistryError, printable, RegistryError } from '../../../client/registry/errors.ts'

await t.test('text from outside cannot draw on the terminal', async (t) => {
  const CASES: Record<string, readonly [text: string, shown: string]> = {
    'a colour': ['\u001b[31mred', '[31mred'],
    'a line break': ['one\r\ntwo', 'one two'],
    'a change of direction': ['a\u202eb', 'a b'],
    'an invisible letter': ['a\u200bb', 'a b'],
    'a separator of lines': ['a\u2028b', 'a b'],
    'half a surrogate pair': ['a\ud800b', 'a b'],
    'ordinary words': ['größer als 5 €', 'größer als 5 €'],
    'endless text': ['x'.repeat(1000), `${'x'.repeat(200)}…`],
  }
  for (const [name, [text, shown]] of Object.entries(CASES))
    await t.test(name, async (t) => t.equal(printable(text), shown))
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => !/[\p{Cc}\p{Cf}\p{Cs}]/u.test(printable(text))))
})

await t.test('a hint is made from the facts', async (t) => {
  const HINTS: Record<string, readonly [error: RegistryError, hint: string | undefined]> = {
    'a login for a registry': [
      new RegistryError('UNAUTHORIZED', { host: 'r.example:5000', what: 'a', sent: false }),
      'docker login r.example:5000',
    ],
    'a login for Docker Hub': [
      new RegistryError('UNAUTHORIZED', { host: 'registry-1.docker.io', what: 'a', sent: false }),
      'docker login',
    ],
    'the option for plain http': [
      new RegistryError('UNREACHABLE', { host: 'r.example', why: 'it does not speak TLS' }),
      'if plain http is meant, say so: --plain-http=r.example',
    ],
    'what became of the image, where nobody can do anything': [
      new RegistryError('TOO_MANY_PARTS', { what: 'a', of: 'layers', limit: 1 }),
      'nothing of it is used; no honest image has that many',
    ],
  }
  for (const [name, [error, hint]] of Object.entries(HINTS)) await t.test(name, async (t) => t.equal(error.hint, hint))
})

await t.test('the code narrows the detail', async (t) => {
  const error: unknown = new RegistryError('TIMEOUT', { host: 'h', what: 'w', milliseconds: 30_000 }, { cause: 'c' })
  if (!isRegistryError(error) || error.code !== 'TIMEOUT') throw new Error('wrong code')
  t.equal(error.detail.milliseconds, 30_000)
  t.equal(error.message, 'h took longer than 30 s for w')
  t.equal(error.cause, 'c')
  t.notOk(isRegistryError(new Error('other')))
})
