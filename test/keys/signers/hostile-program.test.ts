/** A signer program that lies, hangs, floods or dies: nothing it answers is used. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openssl, privateFolder } from '../../support/secrets.ts'
import { shellSigner } from '../../support/signers.ts'
import { isSignedBy, openSigning } from '../../support/signing.ts'

const SILENCE_SECONDS = 60
const PAYLOAD = Buffer.from('{"_type":"root"}')
const folder = privateFolder(t)
const [own, other] = [newKey('own'), newKey('other')]
const publicOf = (key: string) => `openssl pkey -in ${key} -pubout`
const signedBy = (key: string) =>
  `cat > $0.in && openssl pkeyutl -sign -inkey ${key} -rawin -in $0.in | openssl base64 -A`
const whenItDescribes = (describe: string, sign: string) => `if [ "$1" = describe ]; then ${describe}; else ${sign}; fi`

const SIGNING: Record<string, { script: string; code: string }> = {
  'the signature of another key': { script: signedBy(other), code: 'SIGNATURE_WRONG' },
  'its own signature over something else': {
    script: `cat > /dev/null; printf x > $0.in; openssl pkeyutl -sign -inkey ${own} -rawin -in $0.in | openssl base64 -A`,
    code: 'SIGNATURE_WRONG',
  },
  'base64 of nothing that signs': { script: 'cat > /dev/null; echo AAAA', code: 'SIGNATURE_WRONG' },
  'text that is no base64': { script: 'cat > /dev/null; echo "I am sorry"', code: 'SIGNER_FAILED' },
  'the signature as it is': {
    script: `cat > $0.in; openssl pkeyutl -sign -inkey ${own} -rawin -in $0.in`,
    code: 'SIGNER_FAILED',
  },
  nothing: { script: 'cat > /dev/null', code: 'SIGNER_FAILED' },
  'nothing, and reads nothing': { script: 'exit 0', code: 'SIGNER_FAILED' },
  'a right signature and an exit code': { script: `${signedBy(own)}; exit 1`, code: 'SIGNER_FAILED' },
  'half a signature, and then it dies': { script: 'cat > /dev/null; printf QUFB; kill -9 $$', code: 'SIGNER_FAILED' },
  silence: { script: `exec sleep ${SILENCE_SECONDS}`, code: 'SIGNER_TIMEOUT' },
  'silence, deaf to signals, with a child that holds its pipes': {
    script: `trap '' TERM INT HUP; sleep ${SILENCE_SECONDS}`,
    code: 'SIGNER_TIMEOUT',
  },
  'a flood': { script: 'exec cat /dev/zero', code: 'SIGNER_FAILED' },
  'a flood of words': { script: 'exec cat /dev/zero >&2', code: 'SIGNER_TIMEOUT' },
}

for (const [name, { script, code }] of Object.entries(SIGNING)) {
  await t.test(`a program that answers with ${name}: ${code}`, async (t) => {
    const patient = openSigning(t)
    const reference = shellSigner(t, whenItDescribes(publicOf(own), script))
    const { id } = await patient.importReference(reference, undefined)
    const hurried = code === 'SIGNER_TIMEOUT' ? { milliseconds: 900 } : {}
    const keys = openSigning(t, { dir: patient.dir, ...hurried })
    const signer = await keys.open(id)
    const began = performance.now()
    await t.rejects(signer.sign(PAYLOAD), { code })
    t.ok(performance.now() - began < SILENCE_SECONDS * 500)
    t.ok(keys.said.join('').length < 300_000)
  })
}

const DESCRIBING: Record<string, { script: string; code: string }> = {
  'no key': { script: 'echo hello', code: 'SIGNER_FAILED' },
  'two keys': { script: `${publicOf(own)}; ${publicOf(other)}`, code: 'SIGNER_FAILED' },
  'its private key': { script: `cat ${own}`, code: 'SIGNER_FAILED' },
  'a key of a curve that nobody uses here': {
    script: 'openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 | openssl pkey -pubout',
    code: 'SIGNER_FAILED',
  },
  'an RSA key of 1024 bits': {
    script: 'openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 2>/dev/null | openssl pkey -pubout',
    code: 'SIGNER_FAILED',
  },
  'a flood': { script: 'exec cat /dev/zero', code: 'SIGNER_FAILED' },
}

for (const [name, { script, code }] of Object.entries(DESCRIBING)) {
  await t.test(`a program that describes itself with ${name}: ${code}`, async (t) => {
    const keys = openSigning(t)
    await t.rejects(keys.importReference(shellSigner(t, script), 'x'), { code })
    t.same(await keys.list(), [])
  })
}

await t.test('an honest one signs, so that the others fail for what they do', async (t) => {
  const keys = openSigning(t)
  const signer = await keys.open(shellSigner(t, whenItDescribes(publicOf(own), signedBy(own))))
  t.ok(isSignedBy(signer.public, PAYLOAD, await signer.sign(PAYLOAD)))
})

await t.test('it is waited for with a word, and no longer than was said', async (t) => {
  const patient = openSigning(t)
  const reference = shellSigner(t, whenItDescribes(publicOf(own), `exec sleep ${SILENCE_SECONDS}`))
  const { id } = await patient.importReference(reference, undefined)
  const keys = openSigning(t, { dir: patient.dir, milliseconds: 1500 })
  const signing = (await keys.open(id)).sign(PAYLOAD)
  await t.rejects(signing, { code: 'SIGNER_TIMEOUT', message: /the signer program signer/ })
  t.match(keys.said, [/^waiting for the signer program signer: .*2 s at most/])
})

await t.test('an interrupted run does not wait for it', async (t) => {
  const interrupt = new AbortController()
  const keys = openSigning(t, { signal: interrupt.signal })
  const signer = await keys.open(shellSigner(t, whenItDescribes(publicOf(own), `exec sleep ${SILENCE_SECONDS}`)))
  setTimeout(() => interrupt.abort(), 100)
  await t.rejects(signer.sign(PAYLOAD), { code: 'SIGNER_FAILED', message: /interrupted/ })
})

function newKey(name: string): string {
  const path = join(folder, `${name}.pem`)
  writeFileSync(path, openssl(['genpkey', '-algorithm', 'ed25519']), { mode: 0o600 })
  return path
}
