import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keySetOf, ROOT, tufCodec } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { PLAYS } from '../drill/plays.ts'
import type { Drill, Row, Shape } from '../drill/plays.ts'
import { serverProgram, startScratchServer } from '../drill/server.ts'
import { parseRepo } from '../registry/reference.ts'
import { any, defineCommand, text } from './declare.ts'
import { CommandError, usage } from './errors.ts'

export const drillCommand = defineCommand({
  operands: {
    REPO: any('a repository whose dialect and root keys the scratch copy is to have; none: two of three root keys'),
  },
  options: {
    'server-program': text('FILE', 'the tagseal-server to play against, instead of the one beside this program'),
  },
  examples: ['tagseal drill registry.example.com/team/app', 'tagseal drill --json'],
  notes: [
    'Nothing of the repository is touched but its metadata, which is read: keys, server and consumers are made for the drill,',
    'in a temporary folder and on 127.0.0.1, and go with it. A thief who holds the real keys of that copy plays against it;',
    'how long he is believed is found out under clocks that run ahead. Lifetimes are those of a server with its defaults.',
  ].join('\n'),
  async run(context, input) {
    const [repo, ...more] = input.many('REPO')
    if (more.length > 0) throw usage('one repository is drilled at a time', 'name one, or none')
    const shape = repo === undefined ? BUILT_IN : await shapeOf(context, parseRepo(repo).name)
    const rows = await drill(context, shape, input.text('server-program'))
    return { lines: markdown(rows), document: { repository: repo ?? null, rows } }
  },
})

const BUILT_IN: Shape = { codec: tufCodec, rootKeys: 3, rootThreshold: 2 }

async function shapeOf(context: Context, repository: string): Promise<Shape> {
  const { codec, root } = await (await context.repository(repository)).refreshToPublish(context.signal)
  const { keys, threshold } = keySetOf(root, ROOT)
  return { codec, rootKeys: keys.length, rootThreshold: threshold }
}

async function drill(outer: Context, shape: Shape, program: string | undefined): Promise<readonly Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-drill-'))
  try {
    const data = join(folder, 'server')
    const server = await startScratchServer(program ?? serverProgram(process.argv[1]), data, outer.env)
    try {
      const place = { folder, url: server.url, clock: outer.clock }
      return await playAll(outer, { outer, place, data, shape })
    } finally {
      await server.close()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function playAll({ terminal }: Context, scene: Drill): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (const [name, play] of Object.entries(PLAYS)) {
    terminal.progress(`playing: ${name}`)
    rows.push(await named(name, play(scene)))
  }
  return rows
}

async function named(name: string, row: Promise<Row>): Promise<Row> {
  try {
    return await row
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause
    throw new CommandError('DRILL_FAILED', { what: `in the play "${name}": ${cause.message}` }, { cause })
  }
}

/** As `SECURITY.md` has it. */
function markdown(rows: readonly Row[]): readonly string[] {
  return [
    '| who takes | achieves | and keeps whom he keeps from the server | what ends it | whoever reaches the server afterwards |',
    '|---|---|---|---|---|',
    ...rows.map(
      ({ stolen, achieved, kept, command, after }) =>
        `| ${[stolen, achieved, kept, command || '-', after].join(' | ')} |`,
    ),
  ]
}
