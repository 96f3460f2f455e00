import type { KeyId, PublicKey } from '../../tuf/index.ts'
import { customsOf } from '../publish/customs.ts'
import { planDelegation } from '../publish/delegating.ts'
import type { DelegationMade, WantedRole } from '../publish/delegating.ts'
import { openDesk } from '../publish/desk.ts'
import { parseLifetime } from '../publish/lifetime.ts'
import { publicKeyOf } from '../publish/found.ts'
import { publishOrPropose } from '../publish/publish-or-propose.ts'
import { parseRepo } from '../registry/reference.ts'
import type { Terminal } from '../terminal.ts'
import { count, defineCommand, flag, list, one, text } from './declare.ts'
import type { Answer } from './declare.ts'
import { pathsOf, pathsText } from './delegation-paths.ts'
import { refuseUnmeant, scopesAbove } from './delegation-unmeant.ts'
import type { Above } from './delegation-unmeant.ts'
import { usage } from './errors.ts'
import { givenKey } from './given-keys.ts'
import { withPending } from './pending.ts'
import { sayUnsigned } from './say-unsigned.ts'
import { givenDelegation, typed } from './role-names.ts'
import { shortId } from './key-document.ts'

export const delegationAddCommand = defineCommand({
  operands: {
    REPO: one('the image repository, without a tag'),
    ROLE: one('its name, such as releases or releases/team-a'),
  },
  options: {
    key: list(
      'F',
      'a public key: a PEM file, an ssh public key or its file, or the id of a key of this machine; may be repeated',
    ),
    threshold: count('N', 'how many of its keys must sign; 1 where nothing is said'),
    path: list('P', 'tags it may sign, as a pattern: 1.*, or "*" for every tag; may be repeated; a new role needs one'),
    lifetime: text('TIME', 'how long what it signs is good: 12h, 30d, 8w; a year where nothing is said'),
    terminating: flag('for those tags, no role after it is asked'),
    'allow-pending': flag('exit with 0 also where this waits for the signatures of others'),
  },
  examples: [
    'tagseal delegation add registry.example.com/team/app releases --key ./team.pub.pem --path "1.*"',
    'tagseal delegation add registry.example.com/team/app nightly --key "ssh-ed25519 AAAA... ci" --path "nightly-*" --lifetime 7d',
  ],
  notes: [
    'A role that is not there yet is made only where --path says what it may sign, so that a misspelt name makes none.',
    'Run again for a role that exists, it adds keys, and replaces threshold, paths and lifetime where they are given.',
    'The keys that the role has stay: "tagseal delegation remove REPO ROLE --key OLD" takes one out after another was added,',
    'and "tagseal rotate REPO ROLE" puts a key of this machine in the place of all of them.',
    'releases/team-a is delegated by the role releases where there is one, every other role by targets.',
    'Until the role has published once, clients refuse tags that only it could have signed.',
  ].join('\n'),
  async run(context, input) {
    const { name: repository } = parseRepo(input.one('REPO'))
    const named = givenDelegation(input.one('ROLE'))
    const paths = input.list('path')
    const terminating = input.flag('terminating')
    const keys = await Promise.all(input.list('key').map((given) => givenKey(context, given)))
    const lifetime = lifetimeOf(input.text('lifetime'))
    const changes = paths.length > 0 || terminating || lifetime !== undefined || input.count('threshold') !== undefined
    if (keys.length === 0 && !changes) throw usage('a role needs keys', 'give a public key: --key FILE')
    const desk = await openDesk(context, repository)
    let now: Outcome | undefined
    try {
      const { codec, suite } = await desk.look()
      const customs = customsOf(codec)
      const role = typed(() => customs.newRole(named))
      if (terminating && !customs.terminates)
        throw usage('nothing ends a search in this repository', 'leave --terminating out')
      if (lifetime !== undefined && !customs.keepsUnknown)
        throw usage('a repository of Notary has no place to keep a lifetime', 'leave --lifetime out')
      const added = keys.map((key) => publicKeyOf(key, codec, suite))
      const identities = new Set(added.map((key) => suite.open(key)?.identity))
      const isOld = (key: PublicKey) => keys.length > 0 && !identities.has(suite.open(key)?.identity)
      const wish = {
        repository,
        role,
        keys: added,
        scope: typed(() => customs.scope(paths)),
        replacesScope: paths.length > 0,
        threshold: input.count('threshold'),
        terminating,
        lifetime,
        canSign: desk.keyring.canSign,
        found(made: DelegationMade) {
          refuseUnmeant(made, { repository, paths, codec })
          const { wanted, parent, roles } = made
          const kept = wanted.keys.filter(isOld).map(({ id }) => id)
          now = { role: wanted, kept, above: scopesAbove(roles, parent.name)[0] }
        },
      }
      const { published, unsigned, pending } = await publishOrPropose(desk, planDelegation(wish, context))
      sayUnsigned(context.terminal, repository, unsigned)
      sayKept(context.terminal, repository, now)
      const answer = answerFor(repository, now, published)
      if (pending === undefined) return answer
      return withPending(context, input.flag('allow-pending'), [{ repository, pending }], { ...answer, lines: [] })
    } finally {
      desk.close()
    }
  },
})

function lifetimeOf(text: string | undefined): number | undefined {
  const seconds = text === undefined ? undefined : parseLifetime(text)
  if (text === undefined || seconds !== undefined) return seconds
  throw usage(`${text} is no lifetime`, 'write it as 12h, 30d or 8w; from an hour to ten years')
}

/** The role as it is from now on, those of its keys that it had and nobody named, and the role that limits it. */
type Outcome = { readonly role: WantedRole; readonly kept: readonly KeyId[]; readonly above: Above | undefined }

/** Whoever gives a key may mean it in the place of the others. */
function sayKept({ note }: Pick<Terminal, 'note'>, repository: string, outcome: Outcome | undefined): void {
  const { role, kept = [] } = outcome ?? {}
  if (role === undefined || kept.length === 0) return
  const had = kept.length === 1 ? 'the key that it had, which' : 'the keys that it had, each of which'
  const option = kept.map((id) => ` --key ${shortId(id)}`).join('')
  note(
    `${role.name} keeps ${had} goes on signing; to take out: tagseal delegation remove ${repository} ${role.name}${option}`,
  )
}

/** What the role may do from now on: what it had before counts, and not only what was typed. */
function answerFor(
  repository: string,
  outcome: Outcome | undefined,
  published: boolean,
): Answer & { readonly document: object } {
  if (outcome === undefined) throw new Error('a plan tells the role that it makes')
  const { role, kept, above } = outcome
  const { name, threshold, terminating } = role
  const [paths, keyids] = [pathsOf(role), role.keys.map(({ id }) => id)]
  const keys = `${threshold} of ${keyids.length}: ${keyids.map(shortId).join(', ')}`
  return {
    lines: [
      `${name} may sign ${pathsText(role)} of ${repository} with ${keys}${above === undefined ? '' : limitText(above)}`,
    ],
    document: { repository, role: name, threshold, keys: keyids, kept, paths, terminating, published },
  }
}

/** Whatever was typed, a role below another signs nothing that the other may not. */
function limitText(above: Above): string {
  return `; only of what ${above.name} may sign: ${pathsText(above)}`
}
