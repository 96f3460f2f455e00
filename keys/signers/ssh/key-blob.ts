import { concat, fromHex, toBase64 } from '../../bytes.ts'
import { der } from '../../der.ts'
import { KeyError } from '../../errors.ts'
import { hash } from '../../native/hash.ts'
import { ecPoint } from '../../schemes/ecdsa.ts'
import { ed25519Point } from '../../schemes/ed25519.ts'
import type { Algorithm, PublicMaterial } from '../../signer.ts'
import { ecdsaMaterial, ecdsaSignature, ed25519Material } from '../curve-keys.ts'
import { SshReader, string } from './wire.ts'

/** How SSH writes one of our algorithms (RFC 5656, RFC 8709): its name, its keys and its signatures. */
type Form = {
  readonly name: string
  readonly algorithm: Algorithm
  readonly read: (blob: SshReader) => PublicMaterial
  readonly write: (spki: Uint8Array) => readonly Uint8Array[]
  readonly signature: (bytes: Uint8Array, fail: (why: string) => Error) => Uint8Array
}

const FORMS: readonly Form[] = [
  {
    name: 'ssh-ed25519',
    algorithm: 'ed25519',
    read: (blob) => ed25519Material(blob.string()),
    write: (spki) => [string(ed25519Point(spki))],
    signature: (bytes) => bytes,
  },
  ecdsa('ecdsa-p256', 'nistp256', 32, Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07)),
  ecdsa('ecdsa-p384', 'nistp384', 48, Uint8Array.of(0x2b, 0x81, 0x04, 0x00, 0x22)),
  ecdsa('ecdsa-p521', 'nistp521', 66, Uint8Array.of(0x2b, 0x81, 0x04, 0x00, 0x23)),
]

function ecdsa(algorithm: Algorithm, curve: string, size: 32 | 48 | 66, oid: Uint8Array): Form {
  return {
    name: `ecdsa-sha2-${curve}`,
    algorithm,
    read(blob) {
      if (blob.text() !== curve) throw new KeyError('KEY_MALFORMED', { what: 'ssh key', why: 'it names two curves' })
      return ecdsaMaterial(der.oid(oid), blob.string())
    },
    write: (spki) => [string(curve), string(ecPoint(spki, size))],
    signature(bytes, fail) {
      const pair = new SshReader(bytes, fail)
      const [r, s] = [pair.positive(), pair.positive()]
      pair.end()
      return ecdsaSignature(r, s)
    },
  }
}

/** Why an agent's key makes no signature of TUF's, by how its kind begins. */
const UNFIT: readonly (readonly [string, string])[] = [
  ['ssh-rsa', 'an ssh-agent signs with RSA only as PKCS#1 v1.5, and TUF wants PSS'],
  ['rsa-sha2-', 'an ssh-agent signs with RSA only as PKCS#1 v1.5, and TUF wants PSS'],
  ['sk-', 'a FIDO key signs its own data around ours, so nobody could verify it as a plain signature'],
  ['ssh-dss', 'DSA is too weak'],
]

/** The key of a blob. Throws SIGNER_UNFIT with the reason, KEY_MALFORMED and KEY_WEAK. */
export function readKeyBlob(blob: Uint8Array, label: string): PublicMaterial {
  const reader = new SshReader(blob, (why) => new KeyError('KEY_MALFORMED', { what: 'ssh key', why }))
  const name = reader.text()
  const form = FORMS.find((candidate) => candidate.name === name)
  if (form === undefined) {
    const why = name.includes('-cert-')
      ? 'it is a certificate; name the key itself'
      : UNFIT.find(([beginning]) => name.startsWith(beginning))?.[1]
    throw new KeyError('SIGNER_UNFIT', { key: label, why: why ?? 'its kind is not one we use' })
  }
  const material = form.read(reader)
  reader.end()
  return material
}

/** undefined for an algorithm that no agent signs with as TUF wants it. */
export function writeKeyBlob({ algorithm, spki }: PublicMaterial): Uint8Array | undefined {
  const form = FORMS.find((candidate) => candidate.algorithm === algorithm)
  return form && concat(string(form.name), ...form.write(spki))
}

/** `SHA256:...`, as `ssh-add -l` prints it. */
export function fingerprint(blob: Uint8Array): string {
  const digest = fromHex(hash('sha256', blob)) ?? new Uint8Array()
  return `SHA256:${toBase64(digest).replace(/=+$/, '')}`
}

/** The signature of an agent's answer as TUF 1.0 writes it; whether it is right is for others to verify. */
export function readSignatureBlob(blob: Uint8Array, algorithm: Algorithm, fail: (why: string) => Error): Uint8Array {
  const reader = new SshReader(blob, fail)
  const name = reader.text()
  const signature = reader.string()
  reader.end()
  const form = FORMS.find((candidate) => candidate.algorithm === algorithm)
  if (form?.name !== name) throw fail('it is a signature of another kind')
  return form.signature(signature, fail)
}
