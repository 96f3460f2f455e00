/** One root to come, as a file that people hand to each other: JSON, read strictly, believed in nothing. */
import {
  decodeJson,
  encodeText,
  isJsonList,
  isJsonObject,
  isTrustError,
  member,
  members,
  roleName,
  ROOT,
} from '../../tuf/index.ts'
import type { Json, JsonObject, RoleName } from '../../tuf/index.ts'
import { CeremonyError } from './errors.ts'

/** Metadata files are kept as their own text, so that what is verified, signed and published are the very same bytes. */
export type Proposal = {
  readonly repository: string
  /** What changes, for whoever looks into the file; to be compared with what the metadata says. */
  readonly words: readonly string[]
  /** Links of the chain, oldest first, ending with the root that is followed; none where the repository is founded. */
  readonly roots: readonly Uint8Array[]
  /** What the targets roles say now that are issued anew, or must count under other keys. */
  readonly before: Files
  /** What is to be published, root among it, with the signatures that came together so far. */
  readonly next: Files
}
export type Files = ReadonlyMap<RoleName, Uint8Array>

/** Every file of a large repository twice, and then some. */
export const MAX_PROPOSAL = 32 * 1024 * 1024

const FORMAT = 'tagseal root proposal, format 1'
const MEMBERS = ['format', 'repository', 'words', 'roots', 'before', 'next']
const MOST = { words: 100_000, roots: 512, files: 8192, repository: 255 }
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function encodeProposal({ repository, words, roots, before, next }: Proposal): Uint8Array {
  const files = (given: Files) => Object.fromEntries([...given].map(([role, bytes]) => [role, UTF8.decode(bytes)]))
  const document = {
    format: FORMAT,
    repository,
    words,
    roots: roots.map((bytes) => UTF8.decode(bytes)),
    before: files(before),
    next: files(next),
  }
  return encodeText(`${JSON.stringify(document, undefined, 2)}\n`)
}

/** `file` is its name for people. Throws PROPOSAL_MALFORMED. What is in it may still be anything. */
export function decodeProposal(bytes: Uint8Array, file: string): Proposal {
  const refuse = (why: string): CeremonyError => new CeremonyError('PROPOSAL_MALFORMED', { file, why })
  const document = readDocument(bytes, refuse)
  const strange = members(document).find(([name]) => !MEMBERS.includes(name))
  if (member(document, 'format') !== FORMAT) throw refuse(`it does not begin with the format "${FORMAT}"`)
  if (strange !== undefined) throw refuse(`${JSON.stringify(strange[0].slice(0, 80))} means nothing in it`)
  const texts = (name: 'words' | 'roots') => textsOf(member(document, name), MOST[name], () => refuse(`its ${name}`))
  const files = (name: 'before' | 'next') => filesOf(member(document, name), () => refuse(`its member ${name}`))
  const repository = member(document, 'repository')
  if (typeof repository !== 'string' || repository.length > MOST.repository) throw refuse('it names no repository')
  const next = files('next')
  if (!next.has(ROOT)) throw refuse('it proposes no root')
  return { repository, words: texts('words'), roots: texts('roots').map(encodeText), before: files('before'), next }
}

type Refuse = (why: string) => CeremonyError

function readDocument(bytes: Uint8Array, refuse: Refuse): JsonObject {
  try {
    const value = decodeJson(bytes, { depth: 4, what: 'proposal' })
    if (isJsonObject(value)) return value
  } catch (error) {
    if (isTrustError(error)) throw refuse(error.message)
    throw error
  }
  throw refuse('it is no JSON object')
}

function textsOf(value: Json | undefined, most: number, refuse: () => CeremonyError): readonly string[] {
  if (!isJsonList(value) || value.length > most) throw refuse()
  return value.map((text) => {
    if (typeof text !== 'string') throw refuse()
    return text
  })
}

function filesOf(value: Json | undefined, refuse: () => CeremonyError): Files {
  if (!isJsonObject(value) || members(value).length > MOST.files) throw refuse()
  const files = new Map<RoleName, Uint8Array>()
  for (const [name, text] of members(value)) {
    if (typeof text !== 'string' || name === '' || name.length > 512) throw refuse()
    files.set(roleName(name), encodeText(text))
  }
  return files
}
