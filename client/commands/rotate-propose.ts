/** A rotation that other holders of root keys have to sign where they are. */
import { existsSync } from 'node:fs'
import { ROOT } from '../../tuf/index.ts'
import type { Codec, TopRole } from '../../tuf/index.ts'
import { editsFor, proposalOf } from '../ceremony/make.ts'
import { linksTo } from '../ceremony/source.ts'
import type { Context } from '../context.ts'
import { keysInForce } from '../publish/rotating.ts'
import type { NewKeys } from '../publish/rotating.ts'
import type { Answer } from './declare.ts'
import { CommandError, usage } from './errors.ts'
import { recordProposed } from './incident-log.ts'
import { shortId } from './key-document.ts'
import { writeProposal } from './root-files.ts'
import { topRole, topRolesOf, wantedKeys } from './rotate-role.ts'
import { keysHere } from './rotation-keys.ts'
import type { Rotation } from './rotation-keys.ts'

/** Writes the root that the rotation makes, with what goes with it, as a proposal. Nothing is signed or published. */
export async function proposeRotation(context: Context, rotation: Rotation, path: string): Promise<Answer> {
  const { repository, role, compromised, legacy } = rotation
  if (topRole(role) === undefined)
    throw usage(
      `${role} is not listed by the root`,
      `leave --propose out: whoever delegates to ${role} signs that alone`,
    )
  if (legacy > 0)
    throw usage('--legacy and --propose exclude each other', 'whoever has an older key names it: root sign --key ID')
  if (existsSync(path)) throw new CommandError('FILE_EXISTS', { path })
  const standing = await (await context.repository(repository)).refreshToPublish(context.signal)
  const before = await keysInForce(standing, repository, role)
  const wanted = topRolesOf(await wantedKeys(context, standing, rotation, before)) ?? new Map<TopRole, NewKeys>()
  const edits = await editsFor(standing, Object.fromEntries(wanted), new Map(), context)
  const roots = await linksTo(context, repository, standing)
  const made = await proposalOf(standing, edits, { repository, roots })
  const targets = compromised ? wanted.get('targets') : undefined
  if (targets !== undefined) await recordProposed(context, rotation, { before, after: targets })
  await writeProposal(path, made)
  const root = wanted.get('root')
  if (role === ROOT && root !== undefined) await warnOfGathering(context, standing.codec, repository, root)
  context.terminal.note(`${path} is for each holder: tagseal root review ${path}, then tagseal root sign ${path}`)
  if (targets !== undefined) {
    context.terminal.note(
      `what the old key signed goes with it as it is; once it is published, look at it from here: tagseal rotate ${repository} targets --compromised${rotation.since === undefined ? ' --since TIME' : ''}`,
    )
  }
  const { words } = made.proposal
  return {
    lines: [`proposal ${made.fingerprint}`, ...words],
    document: {
      repository,
      role,
      file: path,
      proposal: made.fingerprint,
      version: made.root.signed.body.version,
      words,
    },
  }
}

/** A key that was made here in the place of another's gives whoever proposes two votes, and a thief of this machine too. */
async function warnOfGathering(
  context: Context,
  codec: Codec,
  repository: string,
  { keys, threshold }: NewKeys,
): Promise<void> {
  const here = await keysHere(context, codec, keys)
  if (threshold < 2 || here.length < 2) return
  context.terminal.warn(
    `this machine would hold ${here.length} of the ${keys.length} root keys, of which ${threshold} must sign: ${here.map(({ id }) => shortId(id)).join(', ')}`,
  )
  context.terminal.hint(
    `have another holder make the new key, and propose that: tagseal root propose ${repository} --remove-root KEY --add-root NAME=FILE`,
  )
}
