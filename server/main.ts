#!/usr/bin/env node
import { Command, CommanderError, Option } from 'commander'
import facts from '../package.json' with { type: 'json' }
import { isKeyError } from '../keys/errors.ts'
import type { AnyKeyError } from '../keys/errors.ts'
import { backupCommand, restoreCommand } from './backup-command.ts'
import { ConfigError } from './config-error.ts'
import { loadSettings } from './config.ts'
import type { Value } from './config.ts'
import type { Listening } from './listen.ts'
import { keyHint } from './key-hint.ts'
import { openLog } from './log.ts'
import { nearest } from './nearest.ts'
import { Problem } from './problem.ts'
import { isStorageError } from './storage/errors.ts'
import type { AnyStorageError } from './storage/errors.ts'
import { signerCommand } from './signer/command.ts'
import type { SignerSettings } from './signer/config.ts'
import { startSigner } from './signer/start.ts'
import { startServer } from './start.ts'
import { tokenCommand } from './token-command.ts'

const { env } = process
// Node goes by it at each connection, to a signer and to where the keys of token issuers are.
delete env['NODE_TLS_REJECT_UNAUTHORIZED']
const out = (line: string) => void process.stdout.write(`${line}\n`)
const note = (line: string) => void process.stderr.write(`note: ${line}\n`)
const around = { env, out, note, clock: Date.now }

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return // a reader that went away (`| head`) changes nothing
    process.exitCode = 3
    if (stream === process.stdout) note(`the answer could not be written: ${error.message}`)
  })
}

// No top-level await: the published program is one CommonJS file (ADR 0012).
const work = main(process.argv)
void work.then(end)

function end(code: number): void {
  process.exitCode ??= code // unless the answer was lost on its way
}

async function main(argv: readonly string[]): Promise<number> {
  try {
    await program().parseAsync(argv)
    return 0
  } catch (error) {
    if (error instanceof CommanderError) return wronglyCalled(error)
    if (!isExpected(error)) throw error
    const hint = isKeyError(error) ? keyHint(error) : error.hint
    process.stderr.write(`error: ${error.message} (${error.code})\n${hint === undefined ? '' : `hint: ${hint}\n`}`)
    return error instanceof ConfigError || error instanceof Problem ? 2 : 3
  }
}

/** commander has said what is wrong, or printed the help that was asked for. */
function wronglyCalled({ exitCode, code }: CommanderError): number {
  if (exitCode === 0) return 0
  if (code !== 'commander.help') process.stderr.write('hint: the same command with --help says what it takes\n')
  return 2
}

type Expected = ConfigError | Problem | AnyStorageError | AnyKeyError

function isExpected(error: unknown): error is Expected {
  return error instanceof ConfigError || error instanceof Problem || isStorageError(error) || isKeyError(error)
}

function program(): Command {
  return new Command('tagseal-server')
    .version(facts.version, '-V, --version', 'print the version')
    .description('Serves and keeps fresh the signed metadata that says which digest an image tag means.')
    .option('--config <file>', 'settings as one JSON object')
    .option('--data <dir>', 'folder of the database and its key-encryption key')
    .option('--listen <host:port>', 'where to listen (127.0.0.1:4480)')
    .option(
      '--readers <n>',
      'processes that serve files (one for each core, at most 8); 0: none beside the main one',
      asNumber,
    )
    .option('--tls-cert <file>', 'certificate chain (PEM); read again on SIGHUP')
    .option('--tls-key <file>', 'private key of the certificate (PEM)')
    .option('--kek-file <file>', 'key-encryption key for the keys this server signs with')
    .option('--online-keys <place>', 'where those are made: sealed, pkcs11:..., exec:..., unix:/SOCKET or https://HOST')
    .addOption(new Option('--plain-http', 'allow plain http beyond loopback'))
    .addOption(new Option('--open', 'ask for no tokens; loopback only'))
    .addOption(new Option('--private', 'reading trust metadata needs a token that allows pull'))
    .addHelpText(
      'after',
      '\nExamples:\n  tagseal-server --data /var/lib/tagseal\n  tagseal-server token create --name ci --repo "registry.example.com/team/*" --allow pull,push',
    )
    .exitOverride()
    .allowExcessArguments() // they are told as what they are: no command
    .action(async (options: { config?: string } & Record<string, Value>, command: Command) => {
      refuseUnknown(command)
      const { config, ...flags } = options
      await serve(flags, config)
    })
    .addCommand(tokenCommand(around))
    .addCommand(backupCommand(around))
    .addCommand(restoreCommand(around))
    .addCommand(signerCommand({ env, out, clock: Date.now, serve: serveSigner }))
}

/** A command that has an action of its own takes any other word for an argument. */
function refuseUnknown(command: Command): void {
  const [word] = command.args
  if (word === undefined) return
  const meant = nearest(
    word,
    command.commands.map((each) => each.name()),
  )
  const more = meant === undefined ? '' : `; was ${meant} meant?`
  command.error(`error: unknown command ${JSON.stringify(word.slice(0, 40))}${more}`)
}

/** What is no number is refused by its setting, in the same words as from elsewhere. */
function asNumber(text: string): Value {
  return /^\d{1,16}$/.test(text) ? Number(text) : text
}

/** Resolves when the server has stopped. */
async function serve(flags: Readonly<Record<string, Value>>, config: string | undefined): Promise<void> {
  const settings = loadSettings({ flags, env, ...(config === undefined ? {} : { file: config }) })
  const around = { clock: Date.now, random: Math.random, env }
  await run(openLog(settings.logLevel), 'tagseal-server', (logger) => startServer(settings, { ...around, logger }))
}

/** Its lines are an audit, so none of them waits for others. */
async function serveSigner(settings: SignerSettings): Promise<void> {
  const around = { clock: Date.now, monotonic: () => performance.now(), env }
  const log = openLog(settings.logLevel, 0)
  await run(log, 'tagseal-server signer', (logger) => startSigner(settings, { ...around, logger }))
}

type Log = ReturnType<typeof openLog>

async function run(logger: Log, name: string, start: (logger: Log) => Promise<Listening>): Promise<void> {
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'uncaught')
    logger.flushed()
    process.exit(1)
  })
  const server = await start(logger)
  const ended = stopped(server) // from here on a signal drains: whoever reads the next line may send one
  out(`${name} listening on ${server.url}`)
  await ended
  logger.flushed()
}

function stopped(server: Listening): Promise<void> {
  process.on('SIGHUP', () => server.reloadTls())
  return new Promise((resolve, reject) => {
    let closing = false
    const stop = () => {
      if (closing) return
      closing = true
      server.close().then(resolve, reject)
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
  })
}
