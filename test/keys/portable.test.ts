import { readFileSync } from 'node:fs'
import t from 'tap'
import { generateKey } from '../../keys/native/generate.ts'
import { portableSuite } from '../../keys/portable/suite.ts'
import { toTufFields } from '../../keys/tuf-key.ts'
import { listed } from '../support/tuf-key.ts'

/** Every file that a file imports, itself included; what is no file of ours is kept by its name. */
function imported(url: URL, found = new Map<string, string>()): Map<string, string> {
  if (found.has(url.href)) return found
  const text = readFileSync(url, 'utf8')
  found.set(url.href, text)
  for (const [, type, name = ''] of text.matchAll(/^(?:import|export) (type )?[^;]*? from '([^']+)'$/gm)) {
    if (type !== undefined) continue // gone when it runs
    if (name.startsWith('.')) imported(new URL(name, url), found)
    else found.set(name, '')
  }
  return found
}

await t.test('the portable suite needs nothing of Node', async (t) => {
  const files = imported(new URL('../../keys/portable/suite.ts', import.meta.url))
  t.ok(files.size > 10, `${files.size} files`)
  for (const [name, text] of files) {
    t.notMatch(name, /^node:/)
    t.notMatch(text.replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, ''), /\b(?:Buffer|process|require)\b/, name)
  }
  t.strictSame([...files.keys()].filter((name) => !name.startsWith('file:')).sort(), [
    '@noble/curves/nist.js',
    '@noble/ed25519',
    '@noble/hashes/sha2.js',
  ])
})

await t.test('a suite remembers keys, but not without end', async (t) => {
  const keys = await Promise.all(Array.from({ length: 300 }, () => generateKey('ed25519')))
  const fields = keys.map((key) => listed(toTufFields(key.public)))
  const [first] = fields
  if (first === undefined) throw new Error('no key')
  const verifier = portableSuite.open(first)
  t.equal(portableSuite.open(first), verifier, 'the same one again')
  for (const field of fields) t.type(portableSuite.open(field)?.identity, 'string')
  t.not(portableSuite.open(first), verifier, 'forgotten by now')
  t.equal(portableSuite.open(first)?.identity, verifier?.identity, 'and opened anew')
  for (const key of keys) key.close()
})
