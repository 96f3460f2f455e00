import type { Context } from '../context.ts'
import { isLoopback } from '../http.ts'
import { plainHostsOf } from '../plain-hosts.ts'
import { pinned } from '../registry/reference.ts'
import { defineCommand, one, text } from './declare.ts'
import { findEngine, openEngine } from './engines.ts'
import type { EngineName } from './engines.ts'
import { CommandError, usage } from './errors.ts'
import { parseTagged, sayUnsaid } from './images.ts'
import type { TaggedImage } from './images.ts'
import { POLICY_OPTION } from './policy-option.ts'
import { verifyImage, warnOfExpiries } from './verify.ts'

const ENGINES = ['docker', 'podman', 'skopeo'] as const satisfies readonly EngineName[]

export const pullCommand = defineCommand({
  operands: { IMAGE: one('REPO:TAG, or REPO:TAG@sha256:... to have that digest confirmed') },
  options: {
    engine: text('NAME', `${ENGINES.join(', ')}; the first that is installed where none is named`),
    output: text('DIR', 'have skopeo write an OCI layout there'),
    policy: POLICY_OPTION,
  },
  examples: [
    'tagseal pull registry.example.com/team/app:1.4',
    'tagseal pull registry.example.com/team/app:1.4 --engine skopeo --output ./app',
  ],
  notes: 'The engine gets the signed digest and never the tag; afterwards it is asked what the tag is now.',
  async run(context, input) {
    const image = parseTagged(input.one('IMAGE'))
    sayUnsaid(context.terminal, image)
    const output = input.text('output')
    const engine = openEngine(await chooseEngine(context, input.text('engine'), output), context.env)
    const verified = await verifyImage(context, image, input.text('policy'))
    warnOfExpiries(context, [verified])
    const { digest, role } = verified
    context.terminal.detail(`${engine.name} pulls ${pinned(image, digest)}`)
    const { name, tag } = image
    const { signal } = context
    const got = await engine.pull({ name, tag, digest, output, plainHttp: isPlain(context, image), signal })
    if (!got.includes(digest)) {
      throw new CommandError('DIGEST_DIFFERS', {
        image: image.text,
        expected: got.join(', ') || 'nothing',
        signed: digest,
      })
    }
    return {
      lines: [pinned(image, digest)],
      document: { repository: name, tag, digest, role, engine: engine.name },
    }
  },
})

async function chooseEngine(
  { env }: Context,
  named: string | undefined,
  output: string | undefined,
): Promise<EngineName> {
  const engine = named === undefined ? undefined : ENGINES.find((known) => known === named)
  if (named !== undefined && engine === undefined)
    throw usage(`there is no engine ${named}`, `one of ${ENGINES.join(', ')}`)
  if (engine === 'skopeo' && output === undefined)
    throw usage('skopeo keeps no images', 'say where to write it: --output DIR')
  if (engine !== undefined && engine !== 'skopeo' && output !== undefined)
    throw usage('--output goes with --engine skopeo')
  const able =
    engine !== undefined ? [engine] : output === undefined ? (['docker', 'podman'] as const) : (['skopeo'] as const)
  const found = await findEngine(able, env)
  if (found === undefined) throw new CommandError('ENGINE_MISSING', { tried: able.join(', ') })
  return found
}

/** As our own registry client decides: https, unless this run named that host. `--plain-http` alone is this machine. */
function isPlain({ settings }: Context, { registry }: TaggedImage): boolean {
  const { plainHttp } = settings
  if (typeof plainHttp !== 'boolean') return plainHostsOf(plainHttp).has(registry)
  return isLoopback(registry.replace(/:\d+$/, ''))
}
