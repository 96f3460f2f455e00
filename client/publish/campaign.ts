/**
 * How far a key has been replaced in many repositories. What counts is what each of them lists; this says which key takes
 * its place, and spares whoever goes on a look at those that are done.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { hash } from '../../keys/digest.ts'
import { decodeJson, isJsonList, isJsonObject, isTrustError, member } from '../../tuf/index.ts'
import { ClientError } from '../trust/errors.ts'
import { readRecord, writeRecord } from './kept-record.ts'

export type Campaign = {
  readonly id: string
  /** The key that leaves, as it was named, and the id of the one that takes its place. */
  readonly gone: string
  readonly key: string
  /** Milliseconds since 1970: when what it signed came to be in doubt. */
  readonly since: number | undefined
  readonly done: ReadonlySet<string>
}

const MAX_BYTES = 256 * 1024 * 1024

/** One for each key that leaves, and role where only that is asked for. */
export function campaignId(gone: string, role: string): string {
  return hash('sha256', Buffer.from(`${gone}\n${role}`)).slice(0, 16)
}

/** Throws CONFIG_MALFORMED and CONFIG_UNUSABLE. */
export function readCampaign(state: string, id: string): Campaign | undefined {
  const path = pathOf(state, id)
  const bytes = readRecord(path, MAX_BYTES)
  if (bytes === undefined) return undefined
  try {
    const found = decodeCampaign(bytes, id)
    if (found !== undefined) return found
  } catch (cause) {
    if (!isTrustError(cause)) throw cause
  }
  throw new ClientError('CONFIG_MALFORMED', { path, what: 'it is no record of a rotation; move it away to begin anew' })
}

/** Durable when it returns. */
export async function writeCampaign(state: string, { since, done, ...campaign }: Campaign): Promise<void> {
  const path = pathOf(state, campaign.id)
  const text = JSON.stringify({ version: 1, ...campaign, since: since ?? null, done: [...done] }, undefined, 1)
  await writeRecord(path, `${text}\n`)
}

export function dropCampaign(state: string, id: string): void {
  rmSync(pathOf(state, id), { force: true })
}

function pathOf(state: string, id: string): string {
  return join(state, `rotation-${id}`)
}

function decodeCampaign(bytes: Uint8Array, id: string): Campaign | undefined {
  const value = decodeJson(bytes, { depth: 8, what: 'record of a rotation' })
  if (!isJsonObject(value) || member(value, 'version') !== 1 || member(value, 'id') !== id) return undefined
  const [gone, key, since, done] = ['gone', 'key', 'since', 'done'].map((name) => member(value, name))
  if (typeof gone !== 'string' || typeof key !== 'string' || !/^[0-9a-f]{64}$/.test(key)) return undefined
  if ((since !== null && typeof since !== 'number') || !isJsonList(done)) return undefined
  const names = done.filter((each) => typeof each === 'string')
  return names.length === done.length ? { id, gone, key, since: since ?? undefined, done: new Set(names) } : undefined
}
