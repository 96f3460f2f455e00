/**
 * What was computed from a byte array once is not computed again while that array lives: decoding, hashes, signature
 * checks. Publishing walks the client's workflow over files of which most did not change, and with this each of them
 * costs a look-up. Byte arrays are never written to after they were read, so one array is one content.
 */
import type { Codec, MetadataOf, Signed, Suite, TopRole, Verifier } from '../../tuf/index.ts'

/** Roots bring theirs anew each time they are decoded. */
const CERTIFICATES = 1000

type Decoded = { readonly [T in TopRole]: WeakMap<Uint8Array, Signed<MetadataOf<T>>> }

export function memoCodec(codec: Codec): Codec {
  const decoded: Decoded = {
    root: new WeakMap(),
    timestamp: new WeakMap(),
    snapshot: new WeakMap(),
    targets: new WeakMap(),
  }
  return {
    ...codec,
    decode<T extends TopRole>(...[type, bytes, context]: Parameters<typeof codec.decode<T>>) {
      const memo: Decoded[T] = decoded[type]
      const known = memo.get(bytes)
      if (known !== undefined) return known
      const file = codec.decode(type, bytes, context)
      memo.set(bytes, file)
      return file
    },
  }
}

export function memoSuite(suite: Suite): Suite {
  const hashes = new WeakMap<Uint8Array, Map<string, string>>()
  const verdicts = new WeakMap<Uint8Array, Map<string, boolean>>()
  const certificates = new Map<string, ReturnType<Suite['certificates']>>()
  return {
    ...suite,
    certificates(pem) {
      const text = Buffer.from(pem).toString('latin1')
      if (!certificates.has(text)) {
        if (certificates.size >= CERTIFICATES) certificates.clear()
        certificates.set(text, suite.certificates(pem))
      }
      return certificates.get(text)
    },
    hash: (name, bytes) => remember(hashes, bytes, name, () => suite.hash(name, bytes)),
    open(key) {
      const verifier = suite.open(key)
      return verifier && memoVerifier(verifier)
    },
  }

  function memoVerifier({ identity, verify }: Verifier): Verifier {
    return {
      identity,
      verify(payload, signature) {
        const check = `${identity} ${Buffer.from(signature).toString('base64')}`
        return remember(verdicts, payload, check, () => verify(payload, signature))
      },
    }
  }
}

function remember<V>(memo: WeakMap<Uint8Array, Map<string, V>>, bytes: Uint8Array, name: string, compute: () => V): V {
  const known = memo.get(bytes) ?? new Map<string, V>()
  memo.set(bytes, known)
  const value = known.get(name) ?? compute()
  known.set(name, value)
  return value
}
