import type { KeyInfo, Keystore } from '../../keys/keystore/keystore.ts'
import { writePem } from '../../keys/pem.ts'
import { selfSigned } from '../../keys/self-signed.ts'
import { readBundle } from '../../keys/x509/bundle.ts'
import { ROOT } from '../../tuf/index.ts'
import type { Codec, PublicKey, Suite } from '../../tuf/index.ts'
import { PublishError } from './errors.ts'
import { customsOf, isDue } from './customs.ts'
import type { GivenKey } from './customs.ts'
import { publicKeyOf } from './found.ts'

export type RootKeysWish = {
  readonly repository: string
  readonly keystore: Pick<Keystore, 'open'>
  readonly codec: Codec
  readonly suite: Suite
  readonly clock: () => number
  /** The root keys so far. One that stays is listed as before: its id may come from a certificate. */
  readonly before: readonly PublicKey[]
  /** Certificates that somebody gave for these keys, instead of those that the keys would make for themselves. */
  readonly given: readonly GivenKey[]
}

/** Keys of this machine as root lists them. Where that is in a certificate, each makes one for itself. */
export async function rootKeysOf(keys: readonly KeyInfo[], wish: RootKeysWish): Promise<readonly PublicKey[]> {
  const { codec, suite, before } = wish
  const given = wish.given.map((key) => publicKeyOf(key, codec, suite))
  const byIdentity = (list: readonly PublicKey[]) => new Map(list.map((key) => [suite.open(key)?.identity, key]))
  const [listed, brought] = [byIdentity(before), byIdentity(given)]
  const wanted = byIdentity(keys.map((key) => publicKeyOf(key, codec, suite)))
  for (const [identity, { id }] of brought) {
    if (!wanted.has(identity)) throw new PublishError('KEY_NOT_IN_ROLE', { role: ROOT, key: id })
  }
  return await Promise.all(
    keys.map(async (key) => {
      const plain = publicKeyOf(key, codec, suite)
      const identity = suite.open(plain)?.identity
      const own = brought.get(identity)
      if (own !== undefined) return own
      const known = listed.get(identity)
      if (!customsOf(codec).rootHasCertificates) return known ?? plain
      if (known !== undefined && !isEnding(known, wish)) return known
      return publicKeyOf(await certified(key, wish), codec, suite)
    }),
  )
}

/** With a fifth of its life left. Its key goes on; to everybody else it is another key. */
function isEnding(key: PublicKey, { codec, clock }: RootKeysWish): boolean {
  const { leaf } = readBundle(Buffer.from(key.public, 'base64'))
  return isDue(codec, 'root', leaf.notAfter, clock())
}

/** The certificate that `notary` makes: for the repository's name, good for as long as the root itself. */
async function certified(key: KeyInfo, { repository, keystore, codec, clock }: RootKeysWish): Promise<GivenKey> {
  const signer = await keystore.open(key.id)
  try {
    const from = clock()
    const until = from + customsOf(codec).lifetimes.root
    const der = await selfSigned(signer, { name: repository, from, until, purpose: 'notary root' })
    return { public: key.public, certificate: writePem('CERTIFICATE', der) }
  } finally {
    signer.close()
  }
}
