import type { Authority, RoleName } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import { failureDocument, tellFailure } from '../failure-text.ts'
import { openDesk } from '../publish/desk.ts'
import { holderOf } from '../publish/place.ts'
import type { Pending } from '../proposals/propose.ts'
import { publishOrPropose } from '../publish/publish-or-propose.ts'
import { publish } from '../publish/publish.ts'
import { allRoles } from '../publish/standing.ts'
import type { Standing } from '../publish/standing.ts'
import { planRevoking } from '../publish/tags.ts'
import { ClientError } from '../trust/errors.ts'
import { digestOf } from '../trust/repository.ts'
import { defineCommand, flag, many } from './declare.ts'
import { CommandError } from './errors.ts'
import { byRepository, parseSpelledOut } from './images.ts'
import type { TaggedImage } from './images.ts'
import { withPending } from './pending.ts'
import type { PendingChange } from './pending.ts'

export const revokeCommand = defineCommand({
  operands: { IMAGE: many('REPO:TAG, or REPO:TAG@sha256:... to revoke it only if it still means that') },
  options: {
    'allow-pending': flag('exit with 0 also where a role gives the tag up only once others have signed that'),
  },
  examples: ['tagseal revoke registry.example.com/team/app:1.4'],
  notes: [
    'Exits with 1 where a role keeps a tag because its keys are not here.',
    'A role that needs more signatures than there are keys here keeps it until others "tagseal approve"; the other roles',
    'give it up at once.',
  ].join('\n'),
  async run(context, input) {
    const revoked: Revoked[] = []
    const waiting: PendingChange[] = []
    for (const [repository, images] of byRepository(input.many('IMAGE').map(parseSpelledOut))) {
      const { images: told, pending } = await revokeAll(context, repository, images)
      revoked.push(...told)
      if (pending !== undefined)
        waiting.push({ repository, pending, about: { tags: images.map(({ tag }) => ({ tag })) } })
    }
    const kept = revoked.filter(({ keeping }) => keeping.length > 0)
    const failures = kept.map(({ image, keeping }) =>
      failureOf(new CommandError('STILL_SIGNED', { image, roles: keeping })),
    )
    if (!context.settings.json) for (const failure of failures) tellFailure(context.terminal, failure)
    const [first] = failures
    return withPending(context, input.flag('allow-pending'), waiting, {
      lines: revoked.flatMap(({ image, roles }) => roles.map((role) => `revoked ${image} from ${role}`)),
      document: { revoked, ...(first === undefined ? {} : { error: failureDocument(first) }) },
      ...(kept.length > 0 ? { exit: 1 } : {}),
    })
  },
})

/** `keeping` are the roles that still sign it. */
type Revoked = { readonly image: string; readonly roles: readonly RoleName[]; readonly keeping: readonly RoleName[] }

async function revokeAll(
  context: Context,
  repository: string,
  images: readonly TaggedImage[],
): Promise<{ readonly images: readonly Revoked[]; readonly pending: Pending | undefined }> {
  const desk = await openDesk(context, repository)
  const told = new Map<string, Omit<Revoked, 'image'>>()
  const waiting = new Set<RoleName>()
  const tell = (tag: string, roles: readonly RoleName[], keeping: readonly RoleName[]) => {
    // After a lost acknowledgement nothing is left to take out: what counts is what the first attempt took.
    if (roles.length > 0 || !told.has(tag)) told.set(tag, { roles, keeping })
  }
  const wish = { tags: new Set(images.map(({ tag }) => tag)), clock: context.clock }
  const { canSign, canHelp } = desk.keyring
  const waits = (authority: Authority) => !canSign(authority) && canHelp(authority)
  let pending: Pending | undefined
  try {
    await refuseOthers(
      await (await context.repository(repository)).refreshToPublish(context.signal),
      repository,
      images,
    )
    // What can be taken out at once does not wait for what others have to sign.
    await publish(desk, planRevoking({ ...wish, canSign, told: tell }))
    const rest = planRevoking({
      ...wish,
      canSign: waits,
      told: (_tag, roles) => {
        for (const role of roles) waiting.add(role)
      },
    })
    const keeps = [...told.values()].some(({ keeping }) => keeping.length > 0)
    pending = keeps ? (await publishOrPropose(desk, rest)).pending : undefined
  } finally {
    desk.close()
  }
  const revoked = images.map(({ tag }) => {
    const { roles, keeping } = told.get(tag) ?? { roles: [], keeping: [] }
    const later = keeping.filter((role) => waiting.has(role))
    return {
      image: `${repository}:${tag}`,
      roles: pending === undefined ? [...roles, ...later] : roles,
      keeping: keeping.filter((role) => !waiting.has(role)),
    }
  })
  return { images: revoked, pending }
}

/** A misspelt tag must not pass for a revoked one. */
async function refuseOthers(standing: Standing, repository: string, images: readonly TaggedImage[]): Promise<void> {
  const roles = await allRoles(standing)
  for (const { tag, digest } of images) {
    const target = holderOf(roles, tag)?.file?.targets.get(tag)
    if (target === undefined) throw new ClientError('TAG_NOT_SIGNED', { repository, tag })
    const signed = digestOf({ path: tag, target })
    if (digest !== undefined && digest !== signed) {
      throw new CommandError('DIGEST_DIFFERS', { image: `${repository}:${tag}`, expected: digest, signed })
    }
  }
}
