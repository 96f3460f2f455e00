import { notaryCodec, roleName } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import { REPOSITORY } from './attack-lab.ts'
import { certifiedKey } from './signing-key.ts'
import type { SigningKey } from './signing-key.ts'
import type { SimulatorOptions } from './simulator.ts'

const YEAR = 365 * 86_400_000

/** A new root key of Notary v1 for the repository that attacks are about. */
export async function notaryRootKey(name = REPOSITORY): Promise<SigningKey> {
  return await certifiedKey({ name, from: Date.now() - 86_400_000, until: Date.now() + YEAR })
}

/** A repository of Notary v1. */
export const NOTARY: SimulatorOptions = {
  codec: notaryCodec,
  repository: REPOSITORY,
  keys: { root: [await notaryRootKey()] },
}

/** What an attack needs to be run in either dialect: a repository, and a role that may be delegated to in it. */
export const DIALECTS: Readonly<Record<string, { readonly options: SimulatorOptions; readonly team: RoleName }>> = {
  'TUF 1.0': { options: {}, team: roleName('team') },
  'Notary v1': { options: NOTARY, team: roleName('targets/releases') },
}
