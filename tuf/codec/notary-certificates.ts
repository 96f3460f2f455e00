/**
 * Who may sign a root of Notary v1: keys in certificates that name the repository. That is all that binds a root to
 * its repository, so a key without such a certificate counts for nothing (`trustpinning.ValidateRoot` in Notary).
 */
import { TrustError } from '../errors.ts'
import type { Authority } from '../model/authority.ts'
import type { Certificate } from '../model/certificate.ts'
import { ROOT } from '../model/ids.ts'
import type { KeyId } from '../model/ids.ts'
import type { PublicKey, Root } from '../model/metadata.ts'
import type { Suite } from '../model/suite.ts'
import { decodeBase64 } from './base64.ts'

type Ask = { readonly suite: Suite; readonly repository?: string | undefined }

/** The root's own keys, for signatures on it and on its successor. Age is not looked at: a chain has old links. */
export function rootAuthority(root: Root, ask: Ask): Authority {
  return authorityWhere(root, ask, () => undefined)
}

/** Those whose certificate is good at that instant: the end of a chain must be signed by them. */
export function livingRootAuthority(root: Root, ask: Ask & { readonly now: number }): Authority {
  return authorityWhere(root, ask, (leaf) => ageOf(leaf, ask.now))
}

/** The certificates of a key, its own first; undefined for a key without. */
export function certificatesOf(key: PublicKey, suite: Suite): readonly Certificate[] | undefined {
  const pem = key.keytype.endsWith('-x509') ? decodeBase64(key.public) : undefined
  return pem && suite.certificates(pem)
}

function authorityWhere(root: Root, ask: Ask, refusal: (leaf: Certificate) => string | undefined): Authority {
  const role = root.roles.get(ROOT)
  const refused: string[] = []
  const good: KeyId[] = []
  for (const id of role?.keyids ?? []) {
    const why = whyNot(root.keys.get(id), ask, refusal)
    if (why === undefined) good.push(id)
    else refused.push(why)
  }
  if (role !== undefined && good.length > 0) return { name: ROOT, role: { ...role, keyids: good }, keys: root.keys }
  const { repository = 'a repository whose name nobody said' } = ask
  throw new TrustError('ROOT_CERTIFICATE', { repository, why: refused[0] ?? 'it names no key' })
}

function whyNot(
  key: PublicKey | undefined,
  { suite, repository }: Ask,
  refusal: (leaf: Certificate) => string | undefined,
): string | undefined {
  const [leaf, ...others] = (key && certificatesOf(key, suite)) ?? []
  if (leaf === undefined) return 'a key of it is in no certificate that can be read'
  if (leaf.isCa || others.some(({ isCa }) => !isCa)) return 'a certificate is not one leaf before its authorities'
  if (!names(leaf, repository)) return `a certificate is for ${JSON.stringify(leaf.commonName ?? '')}`
  if (leaf.notBefore > leaf.notAfter) return 'a certificate ends before it begins'
  return leaf.weakness ?? refusal(leaf)
}

/** The very name, or a beginning of it and `*`. */
function names({ commonName }: Certificate, repository: string | undefined): boolean {
  if (commonName === undefined || repository === undefined) return false
  return commonName.endsWith('*') ? repository.startsWith(commonName.replace(/\*+$/, '')) : commonName === repository
}

const DAY = 86_400_000

/** A clock may be a day behind the one that the certificate was made by. At 1970, or before it, stands who asks for no date. */
function ageOf({ notBefore, notAfter }: Certificate, now: number): string | undefined {
  if (now > notAfter) return 'a certificate has expired'
  return now > 0 && now + DAY < notBefore ? 'a certificate is not valid yet' : undefined
}
