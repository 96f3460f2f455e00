/** The hashes for what lies outside the trust rules: image bytes, stored files, tokens. */
export { hashToken, sameSecret } from './native/compare.ts'
export { hash, hasher } from './native/hash.ts'
