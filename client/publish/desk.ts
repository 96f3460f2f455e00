import { setTimeout as delay } from 'node:timers/promises'
import { nativeSuite } from '../../keys/native/suite.ts'
import { TARGETS, tufCodec } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { keyNameFor } from './found.ts'
import { openKeyring } from './keyring.ts'
import type { Keyring } from './keyring.ts'
import type { Desk, Patience } from './publish.ts'
import type { Standing } from './standing.ts'

/** `prepare` refreshes ahead of the first look, while something else is waited for. */
export type PreparedDesk = Desk & { readonly prepare: () => Promise<void> }

/** Everything that publishing to one repository needs, under this machine's pin. Close its keyring. */
export async function openDesk(context: Context, repository: string, keys: readonly string[]): Promise<PreparedDesk> {
  const keyring = await keyringOf(context, keys)
  keyring.prepare(keyNameFor(TARGETS, repository)) // a passphrase takes its time: let it run beside everything else
  const [server, trusted] = [await context.api(repository), await context.repository(repository)]
  let prepared: Promise<Standing> | undefined
  return {
    repository,
    codec: tufCodec,
    server,
    keyring,
    async prepare() {
      prepared = trusted.refreshToPublish(context.signal)
      await prepared
    },
    async standing() {
      const standing = prepared ?? trusted.refreshToPublish(context.signal)
      prepared = undefined
      return await standing
    },
    patience: patienceOf(context),
  }
}

export async function keyringOf(context: Context, named: readonly string[]): Promise<Keyring> {
  const unattended = context.settings.passphraseFile !== undefined
  return await openKeyring({ keystore: await context.keystore(), suite: nativeSuite, named, unattended })
}

export function patienceOf({ monotonic, signal, terminal }: Context): Patience {
  return {
    monotonic,
    random: Math.random,
    sleep: async (milliseconds) => await delay(milliseconds, undefined, { signal }),
    again: (why) => terminal.detail(`trying again: ${why}`),
  }
}
