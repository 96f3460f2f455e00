import { notaryKeyId } from '../../keys/notary/key-id.ts'
import type { KeyInfo } from '../../keys/keystore/keystore.ts'

/** A key as `--json` shows it. */
export function keyDocument({
  id,
  name,
  algorithm,
  encrypted,
  createdAt,
  public: material,
  notary,
  signer,
}: KeyInfo): object {
  return {
    id,
    notary: { id: notaryKeyId(material), ...notary },
    ...(name === undefined ? {} : { name }),
    algorithm,
    encrypted,
    ...(signer === undefined ? {} : { signer }),
    created: new Date(createdAt).toISOString(),
  }
}

/** Enough of a key id to tell two keys apart, for people. */
export function shortId(id: string): string {
  return id.slice(0, 12)
}
