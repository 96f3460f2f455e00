import t from 'tap'
import { formatUri, parseUri } from '../../../keys/signers/pkcs11/uri.ts'

const GOOD: Record<string, { uri: string; parsed: object; written?: string }> = {
  'a token and an object': { uri: 'pkcs11:token=a;object=b', parsed: { token: 'a', object: 'b' } },
  'blanks, slashes and letters beyond ASCII': {
    uri: 'pkcs11:token=My%20Token;object=team%2Fschl%C3%BCssel',
    parsed: { token: 'My Token', object: 'team/schlüssel' },
  },
  'bytes as an id, of which some are separators': {
    uri: 'pkcs11:id=%00%3B%3F%FF',
    parsed: { id: Uint8Array.of(0, 0x3b, 0x3f, 0xff) },
  },
  'an id of letters, which are bytes too': {
    uri: 'pkcs11:id=AB',
    parsed: { id: Uint8Array.of(0x41, 0x42) },
  },
  'where module and PIN are': {
    uri: 'pkcs11:token=a?module-path=/usr/lib/m.so&pin-source=file:/run/pin',
    parsed: { token: 'a', modulePath: '/usr/lib/m.so', pinSource: '/run/pin' },
  },
  'a file as a URL': {
    uri: 'pkcs11:token=a?pin-source=file:///run/pin',
    parsed: { token: 'a', pinSource: '/run/pin' },
    written: 'pkcs11:token=a?pin-source=file:/run/pin',
  },
  'the type that is meant anyway': {
    uri: 'pkcs11:token=a;object=b;type=private',
    parsed: { token: 'a', object: 'b' },
    written: 'pkcs11:token=a;object=b',
  },
  'everything that a token is known by, in another order': {
    uri: 'pkcs11:object=b;model=m;serial=1;manufacturer=f;token=a',
    parsed: { token: 'a', manufacturer: 'f', serial: '1', model: 'm', object: 'b' },
    written: 'pkcs11:token=a;manufacturer=f;serial=1;model=m;object=b',
  },
  nothing: { uri: 'pkcs11:', parsed: {} },
}

for (const [name, { uri, parsed, written = uri }] of Object.entries(GOOD)) {
  await t.test(`reads and writes ${name}`, async (t) => {
    t.same(parseUri(uri), parsed)
    t.equal(formatUri(parseUri(uri)), written)
    t.same(parseUri(written), parsed)
  })
}

const PINS: Record<string, string> = {
  'among the settings': 'pkcs11:token=a?pin-value=4321',
  'among what the token is known by': 'pkcs11:token=a;pin-value=4321',
  'given twice': 'pkcs11:token=a?pin-value=4321&pin-value=4321',
  'in capitals': 'pkcs11:token=a?PIN-VALUE=4321',
  'beside another mistake': 'pkcs11:tokn=a;;?pin-value=4321?x',
}
for (const [name, uri] of Object.entries(PINS)) {
  await t.test(`a PIN that is in an argument is not repeated: ${name}`, async (t) => {
    t.throws(() => parseUri(uri), { code: 'SIGNER_MALFORMED', message: /^(?!.*4321).*pin-source/s })
  })
}

const BAD: Record<string, string> = {
  'a PIN for everybody to see': 'pkcs11:token=a?pin-value=1234',
  'a program that prints the PIN': 'pkcs11:token=a?pin-source=%7C/bin/pin',
  'a PIN in a relative file': 'pkcs11:token=a?pin-source=pin',
  'a module by its name alone': 'pkcs11:token=a?module-path=softhsm.so',
  'a module to be looked for': 'pkcs11:token=a?module-name=softhsm',
  'the number of a slot, which changes': 'pkcs11:slot-id=3;object=b',
  'another type than a private key': 'pkcs11:object=b;type=cert',
  'an attribute that nobody knows': 'pkcs11:tokn=a',
  'one attribute twice': 'pkcs11:token=a;token=b',
  'an attribute without a value': 'pkcs11:token',
  'an attribute without a name': 'pkcs11:=a',
  'a separator too many': 'pkcs11:token=a;;object=b',
  'two question marks': 'pkcs11:token=a?module-path=/m?x',
  'half a percent-encoding': 'pkcs11:token=%4',
  'a label with a line break': 'pkcs11:token=a%0Ab',
  'a label that is no UTF-8': 'pkcs11:token=%FF',
}

for (const [name, uri] of Object.entries(BAD)) {
  await t.test(`refuses ${name}`, async (t) => {
    t.throws(() => parseUri(uri), { name: 'KeyError', code: 'SIGNER_MALFORMED' })
  })
}

await t.test('a PIN that was given all the same is not said again', async (t) => {
  t.throws(() => parseUri('pkcs11:token=a?pin-value=4711'), { message: /^(?!.*4711)/ })
})
