import type { Logger } from 'pino'
import { KeyError } from '../../keys/errors.ts'
import { ALGORITHMS } from '../../keys/schemes/table.ts'
import { ConfigError } from '../config-error.ts'
import type { Settings } from '../config.ts'
import { custodianKeys } from './custodian-keys.ts'
import type { KeyHolder } from './holder.ts'
import { pausing } from './pause.ts'
import { parsePlace } from './place.ts'
import type { KeyPlace } from './place.ts'
import { openSignerClient } from './signer-client.ts'
import type { SignerAddress } from './signer-client.ts'
import { signerKeys } from './signer-keys.ts'
import type { OnlineKeyRecord } from '../storage/store.ts'

/** Everywhere that keys are: new ones are made in `current`; the others sign on until a root names no key of theirs. */
export type Holders = {
  readonly current: KeyHolder
  /** Whether keys may be elsewhere than in the database. */
  readonly outside: boolean
  /** The one that made this key. Throws SIGNER_UNAVAILABLE where the settings name none that did. */
  readonly of: (record: OnlineKeyRecord) => KeyHolder
  readonly notReady: () => Promise<string | undefined>
  readonly close: () => Promise<void>
}

export type HolderSettings = Pick<
  Settings,
  'onlineKeys' | 'onlineKeysBefore' | 'onlineKeyAlgorithm' | 'sharedOnlineKey' | 'signerTimeout'
> &
  Partial<Pick<Settings, 'signerCa' | 'signerCert' | 'signerKey'>>
export type HolderAround = {
  readonly sealed: KeyHolder
  readonly env: Readonly<Record<string, string | undefined>>
  readonly logger: Logger
  readonly monotonic: () => number
}

/** Programs that are started at a time; a token does one thing at a time by itself. */
const MOST_PROGRAMS = 4
const MOST_QUESTIONS = 32

/** Nothing is reached yet: a signer that is down keeps no reader waiting. Throws ConfigError. */
export function openHolders(settings: HolderSettings, around: HolderAround): Holders {
  const { onlineKeys, onlineKeysBefore = 'sealed' } = settings
  const open = (name: string, text: string) => openHolder(parsePlace(name, text), settings, around)
  const current = open('onlineKeys', onlineKeys)
  const before = open('onlineKeysBefore', onlineKeysBefore)
  const all = [...new Set([current, before, around.sealed])]
  return {
    current,
    outside: all.length > 1,
    of(record) {
      const holder = all.find((each) => each.holds(record))
      if (holder !== undefined) return holder
      const signer = record.signer ?? 'the database'
      throw new KeyError('SIGNER_UNAVAILABLE', { signer, why: 'the settings name no such place: see onlineKeysBefore' })
    },
    async notReady() {
      const reasons = await Promise.all(all.map((each) => each.notReady()))
      return reasons.find((reason) => reason !== undefined)
    },
    async close() {
      for (const each of all) await each.close()
    },
  }
}

function openHolder(
  place: KeyPlace,
  settings: HolderSettings,
  { sealed, env, logger, monotonic }: HolderAround,
): KeyHolder {
  const { onlineKeyAlgorithm, sharedOnlineKey, signerTimeout } = settings
  if (place.kind === 'sealed') return sealed
  if (place.kind === 'signer') {
    const holder = signerKeys(openSignerClient(addressOf(place, settings), signerTimeout))
    return pausing(holder, { name: 'the signer', most: MOST_QUESTIONS, monotonic })
  }
  const surroundings = {
    env: withoutOurs(env),
    say: (sentence: string) => logger.info({ signer: place.kind }, sentence),
    warn: (sentence: string) => logger.warn({ signer: place.kind }, sentence),
    terminal: () => undefined,
    milliseconds: signerTimeout * 1000,
  }
  const algorithm = ALGORITHMS.find((known) => known === onlineKeyAlgorithm) ?? 'ed25519'
  const shared = place.kind === 'exec' && sharedOnlineKey
  const holder = custodianKeys({ ...place, algorithm, shared, surroundings })
  return pausing(holder, { name: `the keys of ${place.kind}`, most: MOST_PROGRAMS, monotonic })
}

type SignerPlace = Extract<KeyPlace, { readonly kind: 'signer' }>

function addressOf(place: SignerPlace, { signerCa, signerCert, signerKey }: HolderSettings): SignerAddress {
  if ('socket' in place) return { socket: place.socket }
  if (signerCa === undefined || signerCert === undefined || signerKey === undefined) {
    throw new ConfigError('SETTING_MISSING', { name: 'signerCa', because: 'the signer has an https address' })
  }
  return { url: place.url, ca: signerCa, cert: signerCert, key: signerKey }
}

/** A program of somebody else's is told none of our secrets. */
function withoutOurs(env: HolderAround['env']): HolderAround['env'] {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('TAGSEAL_')))
}
