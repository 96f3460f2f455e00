import type { Handle, Mechanism, PKCS11, TokenInfo } from 'pkcs11js'
import { KeyError } from '../../errors.ts'
import type { Surroundings } from '../custodian.ts'
import { patiently } from '../patience.ts'
import { askPin } from '../pin.ts'
import { abandonThread } from './abandon.ts'
import { CKF, CKU } from './constants.ts'
import { reasonOf } from './module.ts'
import { formatUri } from './uri.ts'
import type { Pkcs11Uri } from './uri.ts'

/** The largest signature there is (RSA, 8192 bits), and some. */
const MAX_SIGNATURE = 2048

/**
 * A token with one session, in which one thing is done at a time. The PIN is asked for once, when it is needed, and
 * kept until `close` for keys that want it before every signature.
 */
export type Token = {
  /** For people: `token "release"`. */
  readonly name: string
  readonly label: string
  /** Fits every key on it. */
  readonly reference: string
  readonly session: Handle
  readonly cryptoki: PKCS11
  readonly login: (pinSource: string | undefined) => Promise<void>
  readonly sign: (key: TokenKey, mechanism: Mechanism, data: Uint8Array) => Promise<Uint8Array>
  /** Whether it still owes an answer that nobody waits for any more: then the module must not be asked to end either. */
  readonly isStuck: () => boolean
  readonly close: () => void
}

/** `always`: it wants the PIN before each signature. */
export type TokenKey = { readonly handle: Handle; readonly always: boolean }

/** The only token that the URI fits. Slots are numbered anew whenever they like, so nothing goes by their number. */
export function openToken(cryptoki: PKCS11, uri: Pkcs11Uri, surroundings: Surroundings): Token {
  const { slot, info } = findSlot(cryptoki, uri)
  const label = info.label.trimEnd()
  const name = `token "${label}"`
  const session = openSession(cryptoki, slot, name)
  const inTurn = queue()
  let pin: Uint8Array | undefined
  let refused = false
  let stuck = false

  return {
    name,
    label,
    reference: wholeToken(label, uri),
    session,
    cryptoki,
    login: (pinSource) =>
      inTurn(async () => {
        if (refused) throw new KeyError('PIN_WRONG', { token: name })
        if (pin !== undefined || !(info.flags & CKF.loginRequired)) return
        const file = pinSource ?? surroundings.pinFile
        refuseLocked(name, call(name, () => cryptoki.C_GetTokenInfo(slot)).flags, file)
        const given = await askPin(name, file, surroundings)
        loginAs(CKU.user, given)
        pin = given
      }),
    sign: ({ handle, always }, mechanism, data) =>
      inTurn(async () => {
        // Another call would wait for the lock that the lost one holds; another PIN may be the last.
        if (stuck) throw failure(name, new Error('it still owes an answer'))
        if (refused) throw new KeyError('PIN_WRONG', { token: name })
        call(name, () => cryptoki.C_SignInit(session, mechanism, handle))
        if (always && pin !== undefined) loginAs(CKU.contextSpecific, pin)
        const { say, signal, milliseconds } = surroundings
        const wait = {
          signer: name,
          asking: 'touch it',
          say,
          ...(signal && { signal }),
          ...(milliseconds && { milliseconds }),
        }
        stuck = true
        try {
          return await patiently(wait, () => signNow(data))
        } finally {
          if (stuck) abandonThread()
        }
      }),
    isStuck: () => stuck,
    close() {
      pin?.fill(0)
      if (!stuck) closeSession(cryptoki, session)
    },
  }

  function loginAs(user: number, given: Uint8Array): void {
    try {
      cryptoki.C_Login(session, user, Buffer.from(given).toString('utf8'))
    } catch (error) {
      const reason = reasonOf(error)
      if (reason === 'CKR_USER_ALREADY_LOGGED_IN') return
      refused = true
      given.fill(0)
      if (reason.startsWith('CKR_PIN_LOCKED')) {
        throw new KeyError('PIN_LOCKED', { token: name, why: 'it was locked after too many wrong ones' })
      }
      if (reason.startsWith('CKR_PIN')) throw new KeyError('PIN_WRONG', { token: name }, { cause: error })
      throw failure(name, error)
    }
  }

  async function signNow(data: Uint8Array): Promise<Uint8Array> {
    try {
      return new Uint8Array(await cryptoki.C_SignAsync(session, Buffer.from(data), Buffer.alloc(MAX_SIGNATURE)))
    } catch (error) {
      throw failure(name, error)
    } finally {
      stuck = false
    }
  }
}

/** What the module refuses becomes a SIGNER_FAILED with its own word. */
export function call<T>(name: string, use: () => T): T {
  try {
    return use()
  } catch (error) {
    throw failure(name, error)
  }
}

function failure(name: string, error: unknown): KeyError {
  return new KeyError('SIGNER_FAILED', { signer: name, why: reasonOf(error) }, { cause: error })
}

type Slot = { readonly slot: Handle; readonly info: TokenInfo }

function findSlot(cryptoki: PKCS11, uri: Pkcs11Uri): Slot {
  const slots = call('the PKCS#11 module', () => cryptoki.C_GetSlotList(true))
  const there = slots.flatMap((slot) => infoOf(cryptoki, slot))
  const fits = there.filter(({ info }) => isMeant(info, uri))
  const [found, ...more] = fits
  const wanted = uri.token === undefined ? 'such a token' : `the token "${uri.token}"`
  if (found === undefined) {
    const where = `the PKCS#11 module, which has ${namesOf(there)}`
    throw new KeyError('KEY_NOT_FOUND', { wanted, where, among: wholeToken(labelsOf(there)[0], uri) })
  }
  if (more.length > 0)
    throw new KeyError('KEY_AMBIGUOUS', { wanted, ids: fits.map(({ info }) => info.label.trimEnd()) })
  return found
}

/** A token may be drawn out while we look. */
function infoOf(cryptoki: PKCS11, slot: Handle): readonly Slot[] {
  try {
    return [{ slot, info: cryptoki.C_GetTokenInfo(slot) }]
  } catch {
    return []
  }
}

function isMeant(info: TokenInfo, { token, manufacturer, serial, model }: Pkcs11Uri): boolean {
  const fits = (wanted: string | undefined, field: string) => wanted === undefined || wanted === field.trimEnd()
  return (
    fits(token, info.label) &&
    fits(manufacturer, info.manufacturerID) &&
    fits(serial, info.serialNumber) &&
    fits(model, info.model)
  )
}

function namesOf(slots: readonly Slot[]): string {
  const labels = labelsOf(slots)
  return labels.length === 0 ? 'none' : labels.map((label) => `"${label}"`).join(', ')
}

function labelsOf(slots: readonly Slot[]): readonly string[] {
  return slots.map(({ info }) => info.label.trimEnd()).filter((label) => label !== '')
}

function wholeToken(token: string | undefined, { modulePath }: Pkcs11Uri): string {
  return formatUri({ ...(token !== undefined && { token }), ...(modulePath !== undefined && { modulePath }) })
}

function openSession(cryptoki: PKCS11, slot: Handle, name: string): Handle {
  return call(name, () => cryptoki.C_OpenSession(slot, CKF.serialSession | CKF.rwSession))
}

/** A token that was drawn out has closed it already. */
function closeSession(cryptoki: PKCS11, session: Handle): void {
  try {
    cryptoki.C_CloseSession(session)
  } catch {
    return // nothing is left to close
  }
}

/** The last attempt before a token locks itself is for a person to spend, who sees what is asked. */
function refuseLocked(token: string, flags: number, file: string | undefined): void {
  if (flags & CKF.pinLocked) throw new KeyError('PIN_LOCKED', { token, why: 'it was locked after too many wrong ones' })
  if (flags & CKF.pinFinalTry && file !== undefined) {
    throw new KeyError('PIN_LOCKED', { token, why: 'one attempt is left, and a file may hold the wrong one' })
  }
  if (flags & CKF.protectedPath) {
    throw new KeyError('PIN_LOCKED', { token, why: 'it wants its PIN on a pad of its own, which is not supported' })
  }
}

function queue(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const turn = last.then(work)
    last = turn.catch(() => undefined) // whoever waits for this turn hears of it
    return turn
  }
}
