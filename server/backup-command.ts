import { Command } from 'commander'
import { resolve } from 'node:path'
import { loadSettings } from './config.ts'
import type { Settings } from './config.ts'
import { ConfigError } from './config-error.ts'
import { openKek } from './kek.ts'
import { place, placeOf } from './place.ts'
import type { Place } from './place.ts'
import { Problem } from './problem.ts'
import { marksOf, reasonOf } from './recovery.ts'
import { backUp, copyOfBackup, putInPlace } from './storage/sqlite-backup.ts'
import { isStoreIn, lockData, openSqliteStore } from './storage/sqlite.ts'
import type { LostFile, RecoveryStore, RestoredWhy, Resumed } from './storage/store.ts'
import type { TokenCommandDeps } from './token-command.ts'

/** Notary's clients count in 32 bits, and there must be room above. */
const HIGHEST = 2 ** 30
const ACTOR = 'command line'

/** `tagseal-server backup`: also while the server runs. */
export function backupCommand({ env, out, note }: TokenCommandDeps): Command {
  return place(new Command('backup'))
    .description('write the database into one file, also while the server runs')
    .requiredOption('--out <file>', 'a new file; never one that is there')
    .addHelpText(
      'after',
      '\nThe key-encryption key (kek) is not in it: keep a copy of that somewhere else. Either alone opens nothing.' +
        '\n\nExample:\n  tagseal-server backup --data /var/lib/tagseal --out /backup/tagseal-$(date +%F).db',
    )
    .action(async ({ out: file }: { out: string }, command: Command) => {
      const { data } = settingsOf(placeOf(command), env)
      if (!isStoreIn(data)) throw new ConfigError('NO_DATABASE', { data })
      await backUp(data, file)
      note('the key-encryption key is not in it; without that, its signing keys stay shut')
      out(file)
    })
}

type RestoreOptions = {
  readonly resume?: true
  readonly above?: number
  readonly acceptLoss?: boolean
  readonly declare?: true
  readonly json?: true
}

/** `tagseal-server restore`: while no server runs. */
export function restoreCommand(deps: TokenCommandDeps): Command {
  const { env } = deps
  return place(new Command('restore').argument('[file]', 'a backup, to take the place of the database'))
    .description('put a backup back, see what it lacks, and go on without going below what clients saw')
    .option('--kek-file <file>', 'key-encryption key of this folder')
    .option('--resume', 'go on: what is complete is served with the next start, the rest once it is published again')
    .option(
      '--above <n>',
      'with --resume: sign only versions above this one; it takes the place of a million where no marks tell more',
      aboveOf,
    )
    .option('--accept-loss', 'with --resume: serve what the backup has, though more was, or may have been, published')
    .option('--declare', 'the folder was put back as a whole, by a snapshot of its disk')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExamples:\n  tagseal-server restore /backup/tagseal-2026-11-24.db --data /var/lib/tagseal' +
        '\n  tagseal-server restore --data /var/lib/tagseal\n  tagseal-server restore --resume --data /var/lib/tagseal',
    )
    .action(async (file: string | undefined, options: RestoreOptions, command: Command) => {
      const settings = settingsOf(placeOf(command), env)
      const { resume, declare, acceptLoss, above } = options
      if (resume === undefined && (acceptLoss !== undefined || above !== undefined)) {
        throw new Problem('INVALID_REQUEST', { reason: '--above and --accept-loss go with --resume' })
      }
      if (file === undefined && !isStoreIn(settings.data)) throw new ConfigError('NO_DATABASE', { data: settings.data })
      await whileNoServer(settings, resume ?? declare ?? file, async () => {
        if (file !== undefined) await putBack(deps, settings, resolve(file))
        await withRecovery(settings, async (recovery) => {
          if (declare) await declareTo(recovery, deps.clock(), 'put back as a whole')
          if (resume) tellResumed(deps, await resumed(deps, settings, recovery, options), options)
          else await tellState(deps, recovery, options.json === true)
        })
      })
    })
}

/** Looking changes nothing, so that it may be done beside a running server. */
async function whileNoServer(
  { data }: Settings,
  changes: string | boolean | undefined,
  work: () => Promise<void>,
): Promise<void> {
  if (changes === undefined) return await work()
  const lock = lockData(data)
  try {
    await work()
  } finally {
    lock.release()
  }
}

/** Everything is tried on a copy: where its keys cannot be opened, what was there stays in its place. */
async function putBack({ env, note, clock }: TokenCommandDeps, settings: Settings, file: string): Promise<void> {
  const { data, kekFile } = settings
  const folder = copyOfBackup(file, data)
  const store = await openSqliteStore({ dir: folder, marks: marksOf({ data: folder }) })
  try {
    const kek = await openKek(store, { data, env, ...(kekFile === undefined ? {} : { file: kekFile }) })
    kek.close()
    await declareTo(store.recovery, clock(), 'told')
  } finally {
    await store.close()
  }
  const old = putInPlace(folder, data, clock())
  if (old !== undefined) note(`what was there before is ${old}`)
}

async function declareTo(recovery: RecoveryStore | undefined, at: number, why: RestoredWhy): Promise<void> {
  await recovery?.declare({ at, why }, { at, actor: ACTOR, action: 'restore', subject: why })
}

async function withRecovery(settings: Settings, use: (recovery: RecoveryStore) => Promise<void>): Promise<void> {
  const store = await openSqliteStore({ dir: settings.data, marks: marksOf(settings) })
  try {
    if (store.recovery !== undefined) await use(store.recovery)
  } finally {
    await store.close()
  }
}

type Answer = Exclude<Resumed, string>

async function resumed(
  { clock }: TokenCommandDeps,
  { data }: Settings,
  recovery: RecoveryStore,
  { above, acceptLoss = false }: RestoreOptions,
): Promise<Answer> {
  const at = clock()
  await recovery.check(at)
  const wanted = { ...(above === undefined ? {} : { above }), acceptLoss }
  const audit = { at, actor: ACTOR, action: 'resume', subject: data, detail: wanted }
  const answer = await recovery.resume({ at, ...wanted, audit })
  if (answer === 'not restored') throw new ConfigError('NOT_RESTORED', { data })
  if (answer === 'unknown') throw new ConfigError('LOSS_UNKNOWN', { data })
  return answer
}

function tellResumed({ out, note }: TokenCommandDeps, answer: Answer, { json, acceptLoss }: RestoreOptions): void {
  const { repositories, lost } = answer
  if (json) out(JSON.stringify({ resumed: true, repositories, missing: lost }))
  else for (const line of lost.map(lineOf)) out(line)
  if (repositories === 0) return note('what is still missing holds nothing back any more')
  note(`start tagseal-server: it signs ${repositories} repositories anew, above every version that was signed before`)
  if (lost.length === 0) return
  note(
    acceptLoss
      ? 'clients that saw what is missing refuse until its owners publish it again'
      : 'those above are served once their owners publish again: tagseal sign, on a machine that saw them',
  )
}

async function tellState({ out, note, clock }: TokenCommandDeps, recovery: RecoveryStore, json: boolean) {
  const restored = await recovery.check(clock())
  const [lost, awaited] = [await recovery.lost(), await recovery.awaited()]
  const missing = restored === undefined ? awaited.filter(({ role }) => !ONLINE.has(role)) : lost
  if (json) out(JSON.stringify({ restored: restored !== undefined, why: restored?.why, missing }))
  else for (const line of (missing ?? []).map(lineOf)) out(line)
  if (restored !== undefined) note(reasonOf(restored))
  if (missing === undefined) note('nothing tells what was published since the backup')
  else if (missing.length === 0) note('nothing is missing, as far as the marks tell')
}

/** We sign those anew by ourselves. */
const ONLINE: ReadonlySet<string> = new Set(['timestamp', 'snapshot'])

function lineOf({ repository, role, version }: LostFile): string {
  return [repository, role, version].join('\t')
}

function settingsOf({ data, kekFile, config }: Place, env: TokenCommandDeps['env']): Settings {
  return loadSettings({ flags: { data, kekFile }, env, ...(config === undefined ? {} : { file: config }) })
}

function aboveOf(text: string): number {
  const above = Number(text)
  if (/^\d{1,10}$/.test(text) && above <= HIGHEST) return above
  throw new Problem('INVALID_REQUEST', { reason: `--above must be a whole number up to ${HIGHEST}` })
}
