import type { Context } from '../context.ts'
import { readAuthorities } from '../files.ts'

/**
 * For programs that go on, before they begin, and for whoever checks their policy: what cannot be read now would have
 * everybody who asks be refused as long as they run. Throws FILE_UNREADABLE and FILE_MALFORMED.
 */
export async function demandGivenFiles({ settings, http, token }: Context): Promise<void> {
  if (settings.ca !== undefined) await http()
  await token()
}

/** The same for who asks registries. */
export async function demandRegistryCa({ settings: { registryCa } }: Context): Promise<void> {
  if (registryCa !== undefined) await readAuthorities(registryCa)
}
