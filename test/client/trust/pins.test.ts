import { readFileSync, statSync, symlinkSync, lstatSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { addPin, loadPins, patternOf, pinFor, removePin } from '../../../client/trust/pins.ts'
import type { Pin, PinRule } from '../../../client/trust/pins.ts'
import { keyId } from '../../../tuf/index.ts'
import { madeAuthority } from '../../support/authority.ts'

const ID = 'a'.repeat(64)
const KEYS: Pin = { kind: 'keys', keyids: [keyId(ID), keyId('b'.repeat(64))], threshold: 2 }
const rule = (pattern: string, pin: Pin = { kind: 'tofu' }, server?: string): PinRule => ({
  pattern: patternOf(pattern),
  pin,
  ...(server === undefined ? {} : { server }),
})

await t.test('what is added is found again', async (t) => {
  const path = join(t.testdir(), 'config', 'trust.json')
  t.same(await loadPins(path), [], 'no file is no rule')
  await addPin(path, rule('a/**', { kind: 'root', bytes: Buffer.from('{"signed":1}\n') }, 'https://trust.example.com'))
  await addPin(path, rule('a/b', KEYS))
  await addPin(path, rule('**'))
  const rules = await loadPins(path)
  t.same(
    rules.map(({ pattern }) => pattern.text),
    ['a/**', 'a/b', '**'],
  )
  t.same(
    rules.map(({ server }) => server),
    ['https://trust.example.com/', undefined, undefined],
  )
  t.same(pinFor(rules, 'a/b').pin, KEYS)
  const { pin } = pinFor(rules, 'a/c')
  t.equal(pin.kind === 'root' && Buffer.from(pin.bytes).toString(), '{"signed":1}\n', 'byte by byte')
  t.equal(pinFor(rules, 'z').pin.kind, 'tofu')
  t.equal(statSync(path).mode & 0o022, 0, 'nobody else may write')
})

await t.test('the same pattern is replaced in its place, and removed by its text', async (t) => {
  const path = join(t.testdir(), 'trust.json')
  for (const pattern of ['a/*', 'b/*']) await addPin(path, rule(pattern))
  await addPin(path, rule('a/*', KEYS))
  t.same(
    (await loadPins(path)).map(({ pattern, pin }) => [pattern.text, pin.kind]),
    [
      ['a/*', 'keys'],
      ['b/*', 'tofu'],
    ],
  )
  t.equal(await removePin(path, 'a/*'), true)
  t.equal(await removePin(path, 'a/*'), false)
  t.throws(() => pinFor([rule('b/*')], 'a/b'), { code: 'NOT_PINNED' })
})

await t.test('many additions at once all stay', async (t) => {
  const path = join(t.testdir(), 'trust.json')
  await Promise.all(Array.from({ length: 20 }, (_, i) => addPin(path, rule(`a/b${i}`))))
  t.equal((await loadPins(path)).length, 20)
})

await t.test('a trust file that is a link stays one', async (t) => {
  const folder = t.testdir({ real: { 'trust.json': '{"version":1,"pins":[]}' } })
  const path = join(folder, 'trust.json')
  symlinkSync(join(folder, 'real', 'trust.json'), path)
  await addPin(path, rule('a/b'))
  t.ok(lstatSync(path).isSymbolicLink())
  t.match(readFileSync(join(folder, 'real', 'trust.json'), 'utf8'), 'a/b')
})

const pins = (...members: string[]) => `{"version":1,"pins":[{${members.join(',')}}]}`
const [authority, other] = [await madeAuthority(), await madeAuthority()]
const SERVER = '"server":"https://trust.example.com"'
const withCa = (pem: string, server = SERVER) =>
  pins('"pattern":"a","tofu":true', ...(server === '' ? [] : [server]), `"serverCa":${JSON.stringify(pem)}`)

await t.test('the authority of a server is kept with its pin, and leaves with it', async (t) => {
  const path = join(t.testdir(), 'trust.json')
  const both = { ...rule('a/**', KEYS, 'https://trust.example.com/'), serverCa: authority + other }
  await addPin(path, both)
  await addPin(path, { ...rule('b/**', KEYS, 'https://trust.example.com/'), serverCa: authority + other })
  t.match(pinFor(await loadPins(path), 'a/b'), { serverCa: authority + other, server: 'https://trust.example.com/' })
  t.equal(statSync(path).mode & 0o022, 0, 'nobody else may write')
  await addPin(path, rule('a/**', KEYS, 'https://trust.example.com/'))
  t.equal(pinFor(await loadPins(path), 'a/b').serverCa, undefined, 'a pin is replaced whole')
  t.equal(pinFor(await loadPins(path), 'b/b').serverCa, authority + other)
})

const MALFORMED: Record<string, string> = {
  'is empty': '',
  'is no JSON': '{"version":1,',
  'is a list': '[]',
  'says nothing of its version': '{"pins":[]}',
  'is of a later version': '{"version":2,"pins":[]}',
  'has no pins': '{"version":1}',
  'has pins that are no list': '{"version":1,"pins":{}}',
  'has a member we do not know': '{"version":1,"pins":[],"extra":1}',
  'says a member twice': '{"version":1,"pins":[],"pins":[]}',
  'has a rule that is no object': '{"version":1,"pins":[null]}',
  'has a rule without a pattern': pins('"tofu":true'),
  'has a pattern that is none': pins('"pattern":"a**","tofu":true'),
  'has a pattern that is no text': pins('"pattern":1,"tofu":true'),
  'has a rule that trusts nobody': pins('"pattern":"a"'),
  'has a rule with two pins': pins('"pattern":"a","tofu":true', `"keys":["${ID}"]`),
  'has a misspelt member': pins('"pattern":"a"', `"keys":["${ID}"]`, '"threshhold":2'),
  'asks first use for false': pins('"pattern":"a","tofu":false'),
  'has a root that is not base64': pins('"pattern":"a","root":"%%%"'),
  'has a root that is empty': pins('"pattern":"a","root":""'),
  'has a key id in upper case': pins('"pattern":"a"', `"keys":["${'A'.repeat(64)}"]`),
  'has a key id that is too short': pins('"pattern":"a","keys":["ab"]'),
  'has no key ids': pins('"pattern":"a","keys":[]'),
  'names a key twice': pins('"pattern":"a"', `"keys":["${ID}","${ID}"]`),
  'has a threshold of nought': pins('"pattern":"a"', `"keys":["${ID}"],"threshold":0`),
  'has a threshold that is a text': pins('"pattern":"a"', `"keys":["${ID}"],"threshold":"1"`),
  'has a threshold beyond its keys': pins('"pattern":"a"', `"keys":["${ID}"],"threshold":2`),
  'has a threshold without keys': pins('"pattern":"a","tofu":true,"threshold":1'),
  'has a server that is no URL': pins('"pattern":"a","tofu":true,"server":"trust"'),
  'has a server with a password': pins('"pattern":"a","tofu":true,"server":"https://u:p@h/"'),
  'has the authority of no server': withCa(authority, ''),
  'has the authority of a server in plain http': withCa(authority, '"server":"http://127.0.0.1:4480"'),
  'has an authority that is empty': withCa(''),
  'has an authority that is no certificate': withCa('trust me'),
  'has an authority that is no text': pins('"pattern":"a","tofu":true', SERVER, '"serverCa":true'),
  'has a second authority that is cut off': withCa(authority + other.slice(0, -40)),
  'has an authority with words before it': withCa(`# ours\n${authority}`),
  'has a private key beside the authority': withCa(
    `${authority}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n`,
  ),
  'has one pattern twice': '{"version":1,"pins":[{"pattern":"a","tofu":true},{"pattern":"a","tofu":true}]}',
}
await t.test('a trust file is refused that', async (t) => {
  for (const [name, text] of Object.entries(MALFORMED)) {
    await t.test(name, async (t) => {
      const path = join(t.testdir({ 'trust.json': text }), 'trust.json')
      await t.rejects(loadPins(path), { name: 'ClientError', code: 'CONFIG_MALFORMED', detail: { path } })
      await t.rejects(addPin(path, rule('x/y')), { code: 'CONFIG_MALFORMED' })
      t.equal(readFileSync(path, 'utf8'), text, 'and left as it is')
    })
  }
  await t.test('cannot be written', async (t) => {
    const path = join(t.testdir({ file: '' }), 'file', 'trust.json')
    await t.rejects(addPin(path, rule('a/b')), { code: 'CONFIG_UNUSABLE', detail: { path } })
    await t.rejects(removePin('/sys/trust.json', 'a/b'), { code: 'CONFIG_UNUSABLE' })
  })
  await t.test('cannot be read', async (t) => {
    await t.rejects(loadPins(t.testdir()), { code: 'CONFIG_UNUSABLE' })
  })
})
