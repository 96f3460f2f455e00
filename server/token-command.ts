import { Command } from 'commander'
import { issuerOf } from './auth/issuer.ts'
import { createToken, revokeToken } from './auth/tokens.ts'
import { loadSettings } from './config.ts'
import type { Settings } from './config.ts'
import { openKek } from './kek.ts'
import { Problem } from './problem.ts'
import { tokenOf } from './routes/tokens.ts'
import { place, placeOf } from './place.ts'
import type { Place } from './place.ts'
import { isStoreIn, openSqliteStore } from './storage/sqlite.ts'
import type { Action, Store, TokenRecord } from './storage/store.ts'

export type TokenCommandDeps = {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly out: (line: string) => void
  /** What a person should know beside the answer. */
  readonly note: (line: string) => void
  readonly clock: () => number
}

const DAY_MS = 24 * 60 * 60 * 1000
const ACTOR = 'command line'

/** `tagseal-server token …`: works on the folder itself, also while the server runs. */
export function tokenCommand(deps: TokenCommandDeps): Command {
  const { out, clock } = deps
  const token = new Command('token').description('who may publish and read').exitOverride()
  token.addHelpText('after', EXAMPLE)

  place(token.command('create').description('make a token and print it, once'))
    .requiredOption('--name <name>', 'what to call it in lists and in the history')
    .requiredOption('--repo <pattern>', '`*` is any text without a slash, `**` any text: registry.example.com/team/*')
    .requiredOption('--allow <actions>', 'pull, push or admin, joined by commas', actionsOf)
    .option('--days <n>', 'for how many days; without it until revoked', daysOf)
    .option('--json', 'print one JSON document')
    .addHelpText('after', EXAMPLE)
    .action(
      async (
        options: { name: string; repo: string; allow: Action[]; days?: number; json?: true },
        command: Command,
      ) => {
        const at = clock()
        const expiry = options.days === undefined ? {} : { expiresAt: at + options.days * DAY_MS }
        const wanted = { name: options.name, repository: options.repo, actions: options.allow, ...expiry }
        const issued = await withStore(deps, placeOf(command), (store) =>
          createToken(store, wanted, { at, actor: ACTOR }),
        )
        out(options.json ? JSON.stringify({ token: issued.token, ...tokenOf(issued.record) }) : issued.token)
      },
    )

  place(token.command('list').description('all tokens, without their secrets'))
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  tagseal-server token list --data /var/lib/tagseal')
    .action(async (options: { json?: true }, command: Command) => {
      const tokens = await withStore(deps, placeOf(command), (store) => store.tokens.list())
      if (options.json) out(JSON.stringify({ tokens: tokens.map(tokenOf) }))
      else for (const record of tokens) out(lineOf(record, clock()))
    })

  place(token.command('revoke <token>').description('let nobody in by it from now on'))
    .addHelpText('after', '\nExample:\n  tagseal-server token revoke ci --data /var/lib/tagseal')
    .action(async (idOrName: string, _options: object, command: Command) => {
      const record = await withStore(deps, placeOf(command), (store) =>
        revokeToken(store, idOrName, { at: clock(), actor: ACTOR }),
      )
      out(`revoked ${record.name} (${record.id})`)
    })

  place(token.command('certificate').description('print the certificate by which others know our access tokens (PEM)'))
    .option('--kek-file <file>', 'key-encryption key of this folder')
    .option('--renew', 'sign access tokens with another key from now on; what the old one signed counts no more')
    .addHelpText('after', '\nExample:\n  tagseal-server token certificate --data /var/lib/tagseal > tagseal-tokens.pem')
    .action(async ({ renew = false }: { renew?: boolean }, command: Command) => {
      out(await withStore(deps, placeOf(command), (store, settings) => certificateOf(deps, store, settings, renew)))
    })
  return token
}

const EXAMPLE =
  '\nExample:\n  tagseal-server token create --data /var/lib/tagseal --name ci --repo "registry.example.com/team/*" --allow pull,push'

async function withStore<T>(
  { env, note }: TokenCommandDeps,
  options: Place,
  use: (store: Store, settings: Settings) => Promise<T>,
): Promise<T> {
  const { data, kekFile, config } = options
  const settings = loadSettings({ flags: { data, kekFile }, env, ...(config === undefined ? {} : { file: config }) })
  if (!isStoreIn(settings.data))
    note(`${settings.data} had no database, and has a new one now: does the server use it?`)
  const store = await openSqliteStore({ dir: settings.data })
  try {
    return await use(store, settings)
  } finally {
    await store.close()
  }
}

async function certificateOf(
  { env, clock }: TokenCommandDeps,
  store: Store,
  settings: Settings,
  renew: boolean,
): Promise<string> {
  const { data, kekFile } = settings
  const kek = await openKek(store, { data, env, ...(kekFile === undefined ? {} : { file: kekFile }) })
  try {
    const issuer = issuerOf(settings, { store, kek, clock })
    if (renew) await issuer.renew({ at: clock(), actor: ACTOR })
    return (await issuer.certificate()).trimEnd()
  } finally {
    kek.close()
  }
}

function actionsOf(text: string): Action[] {
  return [...new Set(text.split(',').map((each) => each.trim()))].map((each) => {
    if (each === 'pull' || each === 'push' || each === 'admin') return each
    throw new Problem('INVALID_REQUEST', { reason: `--allow knows pull, push and admin, not ${each.slice(0, 20)}` })
  })
}

function daysOf(text: string): number {
  const days = Number(text)
  if (Number.isSafeInteger(days) && days >= 1 && days <= 36_500) return days
  throw new Problem('INVALID_REQUEST', { reason: '--days must be a whole number from 1 to 36500' })
}

function lineOf({ id, name, repository, actions, revokedAt, expiresAt, lastUsedAt }: TokenRecord, now: number): string {
  const dead = revokedAt !== undefined ? 'revoked' : expiresAt !== undefined && now >= expiresAt ? 'expired' : 'live'
  const used = lastUsedAt === undefined ? 'never used' : `last used ${new Date(lastUsedAt).toISOString()}`
  return [id, name, repository, actions.join(','), dead, used].join('\t')
}
