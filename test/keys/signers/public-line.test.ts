import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isPublicLine, readPublicLine } from '../../../keys/signers/ssh/public-line.ts'
import { privateFolder } from '../../support/secrets.ts'

const dir = privateFolder(t)
const MADE: Record<string, { type: readonly string[]; algorithm: string }> = {
  'an ed25519 key': { type: ['ed25519'], algorithm: 'ed25519' },
  'an ecdsa P-256 key': { type: ['ecdsa'], algorithm: 'ecdsa-p256' },
  'an ecdsa P-384 key': { type: ['ecdsa', '-b', '384'], algorithm: 'ecdsa-p384' },
}

for (const [name, { type, algorithm }] of Object.entries(MADE)) {
  await t.test(`reads ${name} that ssh-keygen made`, async (t) => {
    const file = join(dir, type.join(''))
    execFileSync('ssh-keygen', ['-q', '-t', ...type, '-N', '', '-C', 'somebody at home', '-f', file])
    const line = readFileSync(`${file}.pub`, 'utf8')
    t.ok(isPublicLine(line))
    t.ok(isPublicLine(line.trimEnd()))
    const { algorithm: read, spki } = readPublicLine(line)
    t.equal(read, algorithm)
    if (algorithm === 'ed25519') return // ssh-keygen has no other form of it to compare with
    const pem = execFileSync('ssh-keygen', ['-e', '-m', 'PKCS8', '-f', `${file}.pub`], { encoding: 'utf8' })
    t.same(Buffer.from(spki), der(pem))
  })
}

const blobOf = (...parts: readonly string[]) =>
  Buffer.concat(
    parts.map((part) => Buffer.concat([Buffer.of(0, 0, 0, part.length), Buffer.from(part, 'latin1')])),
  ).toString('base64')

const BAD: Record<string, { line: string; code: string }> = {
  'an RSA key': { line: `ssh-rsa ${blobOf('ssh-rsa', '\x03', '\x00\xff')} x`, code: 'SIGNER_UNFIT' },
  'a FIDO key': {
    line: `sk-ssh-ed25519@openssh.com ${blobOf('sk-ssh-ed25519@openssh.com', 'x', 'ssh:')}`,
    code: 'SIGNER_UNFIT',
  },
  'one kind under the name of another': { line: `ssh-ed25519 ${blobOf('ssh-rsa', 'x')}`, code: 'KEY_MALFORMED' },
  'a blob that is cut short': { line: 'ssh-ed25519 AAAAC3Nz', code: 'KEY_MALFORMED' },
  'a key that is too short': { line: `ssh-ed25519 ${blobOf('ssh-ed25519', 'short')}`, code: 'KEY_MALFORMED' },
  'something after its end': {
    line: `ssh-ed25519 ${blobOf('ssh-ed25519', 'x'.repeat(32), 'more')}`,
    code: 'KEY_MALFORMED',
  },
  'base64 that is not canonical': { line: 'ssh-ed25519 AAA=A', code: 'KEY_MALFORMED' },
}

for (const [name, { line, code }] of Object.entries(BAD)) {
  await t.test(`refuses ${name}`, async (t) => {
    t.ok(isPublicLine(line))
    t.throws(() => readPublicLine(line), { name: 'KeyError', code })
  })
}

await t.test('takes nothing else for such a line', async (t) => {
  const twice = 'ssh-ed25519 AAAA a\nssh-ed25519 AAAA b\n'
  for (const text of ['4f0a9c1e', 'my key', './ssh-ed25519.pub', 'ssh:SHA256:x', '-----BEGIN PUBLIC KEY-----', twice]) {
    t.notOk(isPublicLine(text), text)
  }
})

function der(pem: string): Buffer {
  return Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')
}
