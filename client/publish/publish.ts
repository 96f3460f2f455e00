import { isTrustError } from '../../tuf/index.ts'
import type { Codec, RoleName } from '../../tuf/index.ts'
import { HttpError } from '../http-errors.ts'
import type { ServerApi, Signed, Stored, Upload } from '../server-api.ts'
import { isClientError } from '../trust/errors.ts'
import { customsOf } from './customs.ts'
import type { Edit, Plan } from './edit.ts'
import { isPublishError, PublishError } from './errors.ts'
import { aboveFloors, raiseFloors } from './floors.ts'
import type { Floors } from './floors.ts'
import type { Keyring } from './keyring.ts'
import { withOwnSnapshot } from './own-snapshot.ts'
import type { Standing } from './standing.ts'

export type Desk = {
  readonly repository: string
  readonly server: ServerApi
  readonly keyring: Keyring
  /** All keys of this machine, whichever were named: for what a publish needs beside what was asked for. */
  readonly everyKey: Keyring
  /** What this machine published a moment ago: to go on from without a question, once. */
  readonly known: Standing | undefined
  /** What the first attempt goes on from. */
  readonly look: () => Promise<Standing>
  /** Refreshes; every call sees what was published before it. */
  readonly standing: () => Promise<Standing>
  /** Told of each publish that was stored, so that the next refresh need not fetch what was just sent. */
  readonly stored: (files: ReadonlyMap<RoleName, Uint8Array>, signed: Signed) => Promise<void>
  readonly patience: Patience
  readonly clock: () => number
  readonly close: () => void
}

export type Patience = {
  readonly monotonic: () => number
  readonly random: () => number
  readonly sleep: (milliseconds: number) => Promise<void>
  /** Told before each further attempt. */
  readonly again: (why: string) => void
}

/** `published` is false where everything was already as wanted before anything was sent. */
export type Published = {
  readonly published: boolean
  readonly attempts: number
  /** Roles that clients refuse until their new keys have signed them. */
  readonly unsigned: readonly string[]
}

/** Others publishing is no failure until it has gone on for this long. */
const CONFLICT_MS = 180_000
/** Failing answers in a row that are borne. */
const MOST_FAILURES = 5
const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 2_000

/**
 * Refresh, edit, sign, upload; and again from the start where somebody else was faster, or where nobody knows whether
 * the server got it. An update whose acknowledgement was lost is found in place by the next refresh.
 */
export async function publish(desk: Desk, plan: Plan): Promise<Published> {
  return (await publishAhead(desk, plan)) ?? (await publishAsking(desk, plan))
}

/** What stands in its way is found out, and told, by the attempt that asks first. */
async function publishAhead(desk: Desk, plan: Plan): Promise<Published | undefined> {
  if (desk.known === undefined) return undefined
  try {
    const { known } = desk
    const edits = await plan(known)
    const outcome = edits.length === 0 ? undefined : await attempt(desk, known, edits, snapshotOf(known))
    return outcome === undefined || outcome instanceof Error || outcome.kind === 'conflict'
      ? undefined
      : stored(outcome, 1)
  } catch (error) {
    if (isTrustError(error) || isClientError(error) || isPublishError(error) || error instanceof HttpError)
      return undefined
    throw error
  }
}

function snapshotOf({ files, suite }: Standing): string | undefined {
  const snapshot = files.get('snapshot')
  return snapshot && suite.hash('sha256', snapshot)
}

async function publishAsking(desk: Desk, plan: Plan): Promise<Published> {
  const { patience, repository } = desk
  const start = patience.monotonic()
  const floors: Floors = new Map()
  let failures = 0
  for (let attempts = 0; ; attempts++) {
    const standing = await desk.standing()
    const edits = aboveFloors(await plan(standing), floors)
    if (edits.length === 0) return { published: attempts > 0, attempts, unsigned: [] }
    const outcome = await attempt(desk, standing, edits)
    if (!(outcome instanceof Error) && outcome.kind === 'stored') return stored(outcome, attempts + 1)
    failures = outcome instanceof Error ? failures + 1 : 0
    if (!(outcome instanceof Error)) raiseFloors(floors, edits, standing, outcome)
    if (outcome instanceof Error && failures === MOST_FAILURES) throw outcome
    const milliseconds = patience.monotonic() - start
    if (milliseconds > CONFLICT_MS)
      throw new PublishError('CONFLICT', { repository, attempts: attempts + 1, milliseconds })
    patience.again(outcome instanceof Error ? outcome.message : 'somebody else published first')
    await patience.sleep(pauseBefore(attempts, patience.random()))
  }
}

function stored({ unsigned }: Stored, attempts: number): Published {
  return { published: true, attempts, unsigned }
}

/** Targets say which repository they are for, or its keys would have signed them for every other one too (ADR 0009). */
export function named<E extends Edit>(edit: E, codec: Codec, repository: string): E {
  const { body } = edit
  if (body.type !== 'targets') return edit
  return { ...edit, body: { ...body, unknown: customsOf(codec).naming(body.unknown, repository) } }
}

/** The files of these edits, signed. */
export async function sign(
  codec: Codec,
  keyring: Pick<Keyring, 'sign'>,
  edits: readonly Edit[],
): Promise<ReadonlyMap<RoleName, Uint8Array>> {
  const files = new Map<RoleName, Uint8Array>()
  for (const { role, body, authorities } of edits) {
    files.set(role, codec.assemble(body, await keyring.sign(codec.encode(body), authorities)))
  }
  return files
}

/** An error here is one after which the update may or may not be in place. Every other one is thrown. */
async function attempt(desk: Desk, standing: Standing, edits: readonly Edit[], seen?: string): Promise<Upload | Error> {
  const { codec } = standing
  for (const authority of edits.flatMap(({ authorities }) => authorities)) desk.keyring.refuseUnable(authority)
  const signed = await sign(
    codec,
    desk.keyring,
    edits.map((edit) => named(edit, codec, desk.repository)),
  )
  const files = await withOwnSnapshot(desk, standing, edits, signed)
  try {
    const outcome = await desk.server.upload(files, seen)
    if (outcome.kind === 'stored') await desk.stored(files, outcome.signed)
    return outcome
  } catch (error) {
    if (mayHaveArrived(error)) return error
    throw error
  }
}

/** After such an error the server may have done what it was asked, or not. */
export function mayHaveArrived(error: unknown): error is Error {
  if (isPublishError(error)) return error.code === 'SERVER_FAILED'
  return error instanceof HttpError && (error.code === 'NETWORK' || error.code === 'TIMEOUT')
}

/** Does it again where nobody knows whether it was done: for what may be done twice. */
export async function patiently<T>({ patience }: Pick<Desk, 'patience'>, work: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await work()
    } catch (error) {
      if (!mayHaveArrived(error) || failures === MOST_FAILURES - 1) throw error
      patience.again(error.message)
      await patience.sleep(pauseBefore(failures, patience.random()))
    }
  }
}

/** Full jitter: of many that lost together, few come back together. */
function pauseBefore(attempts: number, random: number): number {
  return random * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempts)
}
