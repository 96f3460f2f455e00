import { join } from 'node:path'
import t from 'tap'
import { toHex } from '../../keys/bytes.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { writePem } from '../../keys/pem.ts'
import { portableSuite } from '../../keys/portable/suite.ts'
import { CA, certificateMaker } from '../support/x509.ts'

const make = certificateMaker(join(t.testdir(), 'x509'))
const leaf = make('leaf', {
  subject: '/O=team/CN=example.com\\/app',
  extensions: ['keyUsage=critical,digitalSignature,keyEncipherment', 'extendedKeyUsage=codeSigning'],
})
const derOf = (pem: Buffer) => toHex(Buffer.from(pem.toString().split('\n').slice(1, -2).join(''), 'base64'))
const hex = derOf(leaf.pem)
const BEYOND = 'a certificate has a critical extension that we do not know'

const certificates = (pem: string | Uint8Array) => {
  const bytes = typeof pem === 'string' ? Buffer.from(pem) : pem
  const [native, portable] = [nativeSuite.certificates(bytes), portableSuite.certificates(bytes)]
  if ((native === undefined) !== (portable === undefined)) throw new Error('the suites disagree')
  return native
}
const fromHex = (text: string) => certificates(writePem('CERTIFICATE', Buffer.from(text, 'hex')))
const replaced = (from: string, to: string) => {
  if (!hex.includes(from)) throw new Error(`no ${from} in it`)
  return fromHex(hex.replace(from, to))
}

await t.test('what a certificate says', async (t) => {
  t.match(fromHex(hex), [
    { commonName: 'example.com/app', isCa: false, maySign: false, purposes: ['2b06010505070303'], weakness: undefined },
  ])
  const [authority] = certificates(make('authority', { extensions: [...CA, 'subjectKeyIdentifier=hash'] }).pem) ?? []
  t.match(authority, { commonName: 'authority', isCa: true, maySign: true, purposes: undefined, pathLength: undefined })
  const narrow = make('narrow', { extensions: ['basicConstraints=CA:TRUE,pathlen:3'] })
  t.match(certificates(narrow.pem), [{ isCa: true, maySign: true, pathLength: 3 }])
})

const CN = '0603550403'
await t.test('a name that reads in two ways is none', async (t) => {
  const NAMES: Record<string, readonly [from: string, to: string]> = {
    'in half a character of UTF-16': [`${CN}0c`, `${CN}1e`],
    'in a kind of text that Go does not read': [`${CN}0c`, `${CN}1c`],
    'beyond ASCII in an old alphabet': [`${CN}0c0f65`, `${CN}140fe9`],
    'that is no UTF-8': [`${CN}0c0f65`, `${CN}0c0fff`],
    'beyond ASCII where it says it is ASCII': [`${CN}0c0f65`, `${CN}130fe9`],
  }
  for (const [name, [from, to]] of Object.entries(NAMES)) {
    // The issuer has the same name, and comes first.
    const first = hex.indexOf(from)
    const at = hex.indexOf(from, first + 1)
    t.match(fromHex(hex.slice(0, at) + to + hex.slice(at + from.length)), [{ commonName: undefined }], name)
  }
})

await t.test('a name that notary reads', async (t) => {
  const ascii = { 'a PrintableString': '13', 'a TeletexString of old openssl': '14', 'an IA5String': '16' }
  for (const [name, tag] of Object.entries(ascii)) {
    t.match(fromHex(hex.replaceAll(`${CN}0c0f`, `${CN}${tag}0f`)), [{ commonName: 'example.com/app' }], name)
  }
  const even = make('even', { subject: '/CN=example.com\\/' })
  const inUtf16 = derOf(even.pem).replaceAll(
    `${CN}0c0c${toHex(Buffer.from('example.com/'))}`,
    `${CN}1e0c${toHex(Buffer.from('\0e\0x\0a\0m\0/\0*'))}`,
  )
  t.match(fromHex(inUtf16), [{ commonName: 'exam/*' }], 'in UTF-16')
  const twice = make('twice', { subject: '/CN=a/O=team/CN=b' })
  t.match(certificates(twice.pem), [{ commonName: 'b' }], 'the last of two')
})

await t.test('what a certificate says critically, and who may sign does not hang on it', async (t) => {
  const EXTENSIONS: Record<string, readonly [extension: string, weakness: string | undefined]> = {
    policies: ['certificatePolicies=critical,1.2.3.4', undefined],
    'revocation lists': ['crlDistributionPoints=critical,URI:http://example.com/crl', undefined],
    'other names': ['subjectAltName=critical,DNS:example.com', undefined],
    'which names it may vouch for': ['nameConstraints=critical,permitted;DNS:example.com', BEYOND],
    'something unheard of': ['1.2.3.4=critical,ASN1:UTF8String:hello', BEYOND],
  }
  for (const [name, [extension, weakness]] of Object.entries(EXTENSIONS)) {
    const { pem } = make(name.replaceAll(' ', '-'), { extensions: [extension] })
    t.equal(certificates(pem)?.[0]?.weakness, weakness, name)
  }
})

await t.test('what is no certificate', async (t) => {
  const month = /170d(?:3[0-9]){2}((?:3[0-9]){2})/.exec(hex)
  const date = month?.[0] ?? ''
  const REFUSED: Record<string, ReturnType<typeof certificates>> = {
    'a date in no month': replaced(date, `${date.slice(0, -4)}3939`),
    'a date of another kind': replaced(date, `16${date.slice(2)}`),
    'a critical flag that is neither true nor false': replaced('0603551d0f0101ff', '0603551d0f010101'),
    'an extension twice': replaced('0603551d25', '0603551d0f'),
    'a key usage that is no bit string': replaced('0603551d0f0101ff04040302', '0603551d0f0101ff04040402'),
    'two signature algorithms': fromHex(lastReplaced('06082a8648ce3d040302', '06082a8648ce3d040303')),
    'bytes behind it': fromHex(`${hex}00`),
    'cut short': fromHex(hex.slice(0, -2)),
    nothing: certificates(''),
    'a key': certificates(writePem('PUBLIC KEY', Buffer.from(hex, 'hex'))),
    'text before it': certificates(`x\n${leaf.pem.toString()}`),
  }
  for (const [name, read] of Object.entries(REFUSED)) t.equal(read, undefined, name)
})

await t.test('years before 2050 and after it', async (t) => {
  const [near, far] = [make('near', { days: 365 }), make('far', { days: 365 * 40 })]
  t.ok((certificates(near.pem)?.[0]?.notAfter ?? 0) < Date.UTC(2050, 0))
  t.ok((certificates(far.pem)?.[0]?.notAfter ?? 0) > Date.UTC(2050, 0))
})

function lastReplaced(from: string, to: string): string {
  const at = hex.lastIndexOf(from)
  return hex.slice(0, at) + to + hex.slice(at + from.length)
}
