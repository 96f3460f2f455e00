import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { hash } from '../../../keys/digest.ts'
import { MAX_AUTHORITIES, readAuthorities } from '../../../keys/native/authorities.ts'
import { writePem } from '../../../keys/pem.ts'
import { certify } from '../../support/chain.ts'
import { whyNoOpenssl } from '../../support/tls.ts'
import { certificateMaker } from '../../support/x509.ts'

const skip = (await whyNoOpenssl()) ?? false
if (typeof skip === 'string') t.pass(skip, { skip })
else await authorities()

async function authorities(): Promise<void> {
  const dir = t.testdir()
  const [one, two] = [certify(dir), certify(dir, { constraints: 'critical,CA:TRUE' })]
  const make = certificateMaker(join(dir, 'named'))
  const nameless = make('nameless', { subject: '/' }).pem.toString('utf8')
  const forger = make('forger', { subject: '/O=Example/CN=a\nsha256:0' }).pem.toString('utf8')
  const key = readFileSync(one.files.key, 'utf8')

  await t.test('certificates are read, whoever they may speak for', async (t) => {
    const READ: Record<string, { text: string; pem?: string; subjects?: readonly string[] }> = {
      'one of a server that vouches for itself': { text: one.pem, subjects: ['CN=c1'] },
      'one of an authority': { text: two.pem, subjects: ['CN=c2'] },
      'several of them': { text: one.pem + two.pem, subjects: ['CN=c1', 'CN=c2'] },
      'with words around them': { text: `# ours\n${one.pem}\n# theirs\n${two.pem}`, pem: one.pem + two.pem },
      'with lines as Windows ends them': { text: one.pem.replaceAll('\n', '\r\n'), pem: one.pem },
      'one that names nobody': { text: nameless, subjects: [''] },
      'one whose name has a line of its own, on one line': { text: forger, subjects: ['O=Example, CN=a\\0Asha256:0'] },
    }
    for (const [name, { text, pem = text, subjects }] of Object.entries(READ)) {
      await t.test(name, async (t) => {
        const read = readAuthorities(text, 'the file')
        t.equal(read.pem, pem)
        if (subjects !== undefined)
          t.same(
            read.certificates.map(({ subject }) => subject),
            subjects,
          )
        t.equal(readAuthorities(read.pem, 'again').pem, read.pem)
      })
    }
    t.equal(readAuthorities(one.pem, 'the file').certificates[0]?.sha256, hash('sha256', one.der))
  })

  await t.test('what OpenSSL would pass over, or nobody should copy, is refused', async (t) => {
    const REFUSED: Record<string, string> = {
      'an empty file': '',
      'a file with words alone': 'our authority is at https://ca.example.com\n',
      'a certificate in DER': one.der.toString('latin1'),
      'a private key': key,
      'a private key beside a certificate': one.pem + key,
      'a certificate that says what OpenSSL trusts it for': one.pem.replaceAll(' CERT', ' TRUSTED CERT'),
      'a certificate that does not end': one.pem.slice(0, -30),
      'a certificate of another one’s bytes': writePem('CERTIFICATE', one.der.subarray(0, -1)),
      'a certificate with bytes behind it': writePem('CERTIFICATE', Buffer.concat([one.der, Buffer.from([5, 0])])),
      'a second certificate that is none': one.pem + writePem('CERTIFICATE', Buffer.from('none')),
      'a list of the authorities of the world': one.pem.repeat(Math.ceil(MAX_AUTHORITIES / one.pem.length)),
    }
    for (const [name, text] of Object.entries(REFUSED)) {
      await t.test(name, async (t) => {
        t.throws(() => readAuthorities(text, 'the file'), { name: 'KeyError', code: 'KEY_MALFORMED' })
      })
    }
  })
}
