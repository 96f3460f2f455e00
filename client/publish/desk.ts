import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import { TARGETS } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { refreshBringingBack } from './bring-back.ts'
import { keyNameFor } from './found.ts'
import { openKeyring } from './keyring.ts'
import type { Keyring } from './keyring.ts'
import type { Desk, Patience } from './publish.ts'

export type DeskOptions = {
  /** Only these keys; empty for whichever fit. */
  readonly keys?: readonly string[]
  /** Goes on from what this machine published a moment ago, if it did. */
  readonly ahead?: boolean
}

/**
 * Everything that publishing to one repository needs, under this machine's pin. Whoever opens it closes it.
 * Keys are opened beside everything else: a passphrase takes its time.
 */
export async function openDesk(
  context: Context,
  repository: string,
  { keys = [], ahead = false }: DeskOptions = {},
): Promise<Desk> {
  await context.pinOf(repository) // a name that is mistyped has no server either, and that would be no help
  const [server, trusted] = [await context.api(repository), await context.repository(repository)]
  const keyring = await keyringOf(context, keys)
  const everyKey = keys.length === 0 ? keyring : await keyringOf(context, [])
  keyring.prepare(keyNameFor(TARGETS, repository))
  await turn() // what was asked before leaves now, and is answered while we compute
  const known = ahead ? await trusted.remembered() : undefined
  const refresh = () => quietly(refreshBringingBack(context, { trusted, server }))
  let prepared = known === undefined ? refresh() : undefined
  return {
    repository,
    server,
    keyring,
    everyKey,
    known,
    look: async () => known ?? (await (prepared ??= refresh())),
    async standing() {
      const standing = prepared ?? refresh()
      prepared = undefined
      return await standing
    },
    async stored(files, { timestamp, snapshot }) {
      if (timestamp === undefined || snapshot === undefined) return
      const published = [...files].map(([role, bytes]) => ({ role, bytes }))
      await trusted.learn({ published, timestamp, snapshot })
    },
    patience: patienceOf(context),
    clock: context.clock,
    close() {
      keyring.close()
      everyKey.close()
    },
  }
}

/** Its failure is told to whoever waits for it, who may come late or never. */
export function quietly<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined)
  return work
}

export async function keyringOf(context: Context, named: readonly string[]): Promise<Keyring> {
  const unattended = context.settings.passphraseFile !== undefined
  return await openKeyring({ keystore: await context.keystore(), named, unattended })
}

export function patienceOf({ monotonic, signal, terminal }: Context): Patience {
  return {
    monotonic,
    random: Math.random,
    sleep: async (milliseconds) => await delay(milliseconds, undefined, { signal }),
    again: (why) => terminal.detail(`trying again: ${why}`),
  }
}
