import type { RoleName } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import { failureDocument, tellFailure } from '../failure-text.ts'
import { openDesk } from '../publish/desk.ts'
import { holderOf } from '../publish/place.ts'
import { publish } from '../publish/publish.ts'
import { allRoles } from '../publish/standing.ts'
import type { Standing } from '../publish/standing.ts'
import { planRevoking } from '../publish/tags.ts'
import { ClientError } from '../trust/errors.ts'
import { digestOf } from '../trust/repository.ts'
import { defineCommand, many } from './declare.ts'
import { CommandError } from './errors.ts'
import { byRepository, parseSpelledOut } from './images.ts'
import type { TaggedImage } from './images.ts'

export const revokeCommand = defineCommand({
  operands: { IMAGE: many('REPO:TAG, or REPO:TAG@sha256:... to revoke it only if it still means that') },
  options: {},
  examples: ['tagseal revoke registry.example.com/team/app:1.4'],
  notes: 'Exits with 1 where a role keeps a tag because its keys are not here.',
  async run(context, input) {
    const revoked: Revoked[] = []
    for (const [repository, images] of byRepository(input.many('IMAGE').map(parseSpelledOut))) {
      revoked.push(...(await revokeAll(context, repository, images)))
    }
    const kept = revoked.filter(({ keeping }) => keeping.length > 0)
    const failures = kept.map(({ image, keeping }) =>
      failureOf(new CommandError('STILL_SIGNED', { image, roles: keeping })),
    )
    if (!context.settings.json) for (const failure of failures) tellFailure(context.terminal, failure)
    const [first] = failures
    return {
      lines: revoked.flatMap(({ image, roles }) => roles.map((role) => `revoked ${image} from ${role}`)),
      document: { revoked, ...(first === undefined ? {} : { error: failureDocument(first) }) },
      exit: kept.length > 0 ? 1 : 0,
    }
  },
})

/** `keeping` are the roles that still sign it. */
type Revoked = { readonly image: string; readonly roles: readonly RoleName[]; readonly keeping: readonly RoleName[] }

async function revokeAll(
  context: Context,
  repository: string,
  images: readonly TaggedImage[],
): Promise<readonly Revoked[]> {
  const desk = await openDesk(context, repository)
  const told = new Map<string, Omit<Revoked, 'image'>>()
  try {
    await refuseOthers(
      await (await context.repository(repository)).refreshToPublish(context.signal),
      repository,
      images,
    )
    const plan = planRevoking({
      tags: new Set(images.map(({ tag }) => tag)),
      clock: context.clock,
      canSign: desk.keyring.canSign,
      told: (tag, roles, keeping) => {
        // After a lost acknowledgement nothing is left to take out: what counts is what the first attempt took.
        if (roles.length > 0 || !told.has(tag)) told.set(tag, { roles, keeping })
      },
    })
    await publish(desk, plan)
  } finally {
    desk.close()
  }
  return images.map(({ tag }) => ({ image: `${repository}:${tag}`, ...(told.get(tag) ?? { roles: [], keeping: [] }) }))
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
