import type { RoleName, TargetFile } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { checkedNow, rememberChecked } from '../publish/checked.ts'
import { openDesk, quietly } from '../publish/desk.ts'
import type { Plan } from '../publish/edit.ts'
import { PublishError } from '../publish/errors.ts'
import { publishOrPropose } from '../publish/publish-or-propose.ts'
import { findWhole, targetOf } from '../publish/in-registry.ts'
import type { Pending } from '../proposals/propose.ts'
import { warnOfExpiry } from '../publish/expiry.ts'
import type { Desk } from '../publish/publish.ts'
import type { Standing } from '../publish/standing.ts'
import { planSigning } from '../publish/tags.ts'
import { pinned } from '../registry/reference.ts'
import { directoryCache } from '../trust/directory-cache.ts'
import { stateFolder } from '../trust/repository.ts'
import { any, defineCommand, flag, list, text } from './declare.ts'
import { usage } from './errors.ts'
import { byRepository, isUnsaid, parseTagged } from './images.ts'
import type { TaggedImage } from './images.ts'
import { withPending } from './pending.ts'
import { givenRole } from './role-names.ts'
import { readBuildMetadata } from './build-metadata.ts'

export const signCommand = defineCommand({
  operands: { IMAGE: any('REPO:TAG, or REPO:TAG@sha256:...; several tags of one repository are published together') },
  options: {
    digest: text('DIGEST', 'sign this digest, which the pipeline just pushed, whatever the tag says by now'),
    'metadata-file': text('FILE', 'take digest and image names from what docker buildx build --metadata-file wrote'),
    role: text('ROLE', 'sign as this delegated role, or as targets'),
    key: list('ID', 'sign with this key; may be repeated'),
    'allow-pending': flag('exit with 0 also where the tags wait for the signatures of others'),
  },
  examples: [
    'tagseal sign registry.example.com/team/app:1.4',
    'tagseal sign registry.example.com/team/app:1.4 --digest sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
    'tagseal sign --metadata-file build.json',
  ],
  notes: [
    'Without a digest, the tag is looked up in the registry, and looked up again just before publishing: one that moved',
    'in between is not signed. What the digest refers to must be in the registry.',
    'Jobs that sign different tags at once all succeed. Of two that sign the same tag for different digests at the same',
    'moment, or within a minute of what this machine signed, the second one refuses (TAG_CHANGED); told again, it signs.',
    'Where a role needs more signatures than there are keys here, the tags wait on the server for "tagseal approve": they',
    'are not signed yet, are not printed, and the exit code is 1 (APPROVAL_PENDING).',
  ].join('\n'),
  async run(context, input) {
    const images = await imagesOf(input.many('IMAGE'), input.text('digest'), input.text('metadata-file'))
    for (const image of images.filter(isUnsaid))
      context.terminal.note(`${image.text} names no tag: ${image.name}:latest is to be signed`)
    const role = input.text('role')
    const options = { keys: input.list('key'), role: role === undefined ? undefined : givenRole(role) }
    const { signed, waiting } = await signAll(context, byRepository(images), options)
    return withPending(context, input.flag('allow-pending'), waiting.map(pendingOf), {
      lines: signed.map(({ image, digest }) => `${image.name}:${image.tag}@${digest}`),
      document: { signed: signed.map(documentOf) },
    })
  },
})

type Signed = {
  readonly image: TaggedImage
  readonly digest: string
  readonly length: number
  readonly role: string
  /** false where it was signed so already. */
  readonly published: boolean
}
/** Images that wait for others, by the proposal that they are in. */
type PendingImages = { readonly repository: string; readonly pending: Pending; readonly images: readonly Signed[] }
type SignedImages = { readonly images: readonly Signed[]; readonly pending: Pending | undefined }
type SignOptions = {
  readonly keys: readonly string[]
  readonly role: RoleName | undefined
}

async function imagesOf(
  texts: readonly string[],
  digest?: string,
  metadataFile?: string,
): Promise<readonly TaggedImage[]> {
  if (digest !== undefined && metadataFile !== undefined) throw usage('--digest and --metadata-file both name a digest')
  const built = metadataFile === undefined ? undefined : await readBuildMetadata(metadataFile)
  const names = texts.length === 0 && built !== undefined ? built.names : texts
  if (names.length === 0) throw usage('no image is named', 'tagseal sign REPO:TAG')
  const given = digest ?? built?.digest
  return names.map((name) => withDigest(name, given))
}

function withDigest(text: string, digest: string | undefined): TaggedImage {
  const image = parseTagged(text)
  if (digest === undefined) return image
  if (image.digest !== undefined && image.digest !== digest) throw usage(`${text} and ${digest} name different digests`)
  return { ...parseTagged(`${image.name}:${image.tag}@${digest}`), text }
}

/** One repository after the other, once every one of them is known to be able to. */
async function signAll(
  context: Context,
  groups: ReadonlyMap<string, readonly TaggedImage[]>,
  options: SignOptions,
): Promise<{ readonly signed: readonly Signed[]; readonly waiting: readonly PendingImages[] }> {
  const signed: Signed[] = []
  const waiting: PendingImages[] = []
  const signings: Signing[] = []
  try {
    for (const [repository, images] of groups) signings.push(await openSigning(context, repository, images, options))
    if (signings.length > 1) for (const signing of signings) await rehearse(signing)
    for (const signing of signings) {
      const { images, pending } = await signRepository(context, signing)
      if (pending === undefined) signed.push(...images)
      else waiting.push({ repository: signing.repository, pending, images })
    }
    return { signed, waiting }
  } finally {
    for (const { desk } of signings) desk.close()
  }
}

/** What is to be signed in one repository; nothing of it has been signed yet. */
type Signing = {
  readonly repository: string
  readonly desk: Desk
  readonly found: readonly Found[]
  readonly plan: Plan
  readonly roles: ReadonlyMap<string, RoleName>
  readonly uncounted: ReadonlySet<RoleName>
}

/** Whoever opens it closes its desk. */
async function openSigning(
  context: Context,
  repository: string,
  images: readonly TaggedImage[],
  { keys, role }: SignOptions,
): Promise<Signing> {
  const looking = quietly(lookUpAll(context, images))
  const desk = await openDesk(context, repository, { keys, ahead: true })
  try {
    const found = await looking
    const roles = new Map<string, RoleName>()
    const uncounted = new Set<RoleName>()
    const plan = planSigning({
      repository,
      tags: new Map(found.map(({ image, target }) => [image.tag, target])),
      role,
      clock: context.clock,
      canSign: desk.keyring.canSign,
      canHelp: desk.keyring.canHelp,
      stillSo: async () => {
        await Promise.all(found.map((each) => refuseMoved(context, each)))
      },
      placed: (tag, name, counts) => {
        roles.set(tag, name)
        if (!counts) uncounted.add(name)
      },
    })
    return { repository, desk, found, plan, roles, uncounted }
  } catch (error) {
    desk.close()
    throw error
  }
}

/** Throws what signing would refuse by now, and signs nothing. */
async function rehearse({ desk, plan }: Signing): Promise<void> {
  const edits = await plan(await desk.look())
  for (const { authorities } of edits) {
    for (const authority of authorities) if (!desk.keyring.canHelp(authority)) desk.keyring.refuseUnable(authority)
  }
}

async function signRepository(context: Context, signing: Signing): Promise<SignedImages> {
  const { repository, desk, found, plan, roles, uncounted } = signing
  let last: { readonly standing: Standing; readonly renewed: ReadonlySet<string> } | undefined
  const { published, pending } = await publishOrPropose(desk, async (standing) => {
    const edits = await plan(standing)
    last = { standing, renewed: new Set(edits.map((edit) => edit.role)) }
    return edits
  })
  if (last !== undefined) warnOfExpiry(context, repository, last.standing, last.renewed)
  for (const name of uncounted)
    context.terminal.warn(`neither docker nor tagseal asks ${name} for a tag, unless it is told to`)
  if (!published && pending === undefined)
    context.terminal.note(`${repository}: signed like that already, nothing to publish`)
  const images = found.map(({ image, digest, target }) => {
    return { image, digest, length: target.length, role: roles.get(image.tag) ?? '', published }
  })
  return { images, pending }
}

type Found = { readonly image: TaggedImage; readonly digest: string; readonly target: TargetFile }

/** Many tags of one digest ask the registry once. */
async function lookUpAll(context: Context, images: readonly TaggedImage[]): Promise<readonly Found[]> {
  const asked = new Map<string, Promise<Found>>()
  const lookUpOnce = async (image: TaggedImage): Promise<Found> => {
    const key = image.digest ?? `:${image.tag}`
    const answer = asked.get(key) ?? lookUp(context, image)
    asked.set(key, answer)
    return { ...(await answer), image }
  }
  return await Promise.all(images.map(lookUpOnce))
}

/** The digest to sign, once the registry was seen to have everything that it refers to. */
async function lookUp(context: Context, image: TaggedImage): Promise<Found> {
  const memory = directoryCache(stateFolder(context.paths.state, image.name))
  const known = image.digest === undefined ? undefined : await checkedNow(memory, context.clock(), image.digest)
  const found = known ?? (await findWhole(context, image))
  if (known === undefined) await rememberChecked(memory, context.clock(), found)
  return { image, digest: found.digest, target: targetOf(found) }
}

/** Never sign a tag that moved under us; a digest that was named is meant whatever the tag says. */
async function refuseMoved(context: Context, { image, digest }: Found): Promise<void> {
  if (image.digest !== undefined) return
  const now = await (await context.registry()).resolveTag(image, context.signal)
  if (now?.digest === digest) return
  throw new PublishError('TAG_MOVED', { image: `${image.name}:${image.tag}`, digest, now: now?.digest ?? 'gone' })
}

function pendingOf({ repository, pending, images }: PendingImages) {
  const tags = images.map(({ image: { tag }, digest, role }) => ({ tag, digest, role }))
  return { repository, pending, about: { tags } }
}

function documentOf({ image, digest, length, role, published }: Signed): object {
  const { name: repository, tag } = image
  return { repository, tag, digest, length, role, published, reference: pinned(image, digest) }
}
