import type { Custodian, Surroundings } from './custodian.ts'
import type { SignerKind } from './reference.ts'

/** Loaded when a reference of their kind is used: whoever has only files pays for none of them. */
const CUSTODIANS: Readonly<Record<SignerKind, (surroundings: Surroundings) => Promise<Custodian>>> = {
  ssh: async (surroundings) => (await import('./ssh/custodian.ts')).openSshAgent(surroundings),
  pkcs11: async (surroundings) => (await import('./pkcs11/custodian.ts')).openPkcs11(surroundings),
  exec: async (surroundings) => (await import('./exec/custodian.ts')).openPrograms(surroundings),
}

export function openCustodian(kind: SignerKind, surroundings: Surroundings): Promise<Custodian> {
  return CUSTODIANS[kind](surroundings)
}
