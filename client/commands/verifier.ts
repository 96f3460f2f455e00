import { count, defineCommand, text } from './declare.ts'
import { demandGivenFiles } from './given-files.ts'
import { demandPolicy, POLICY_OPTION } from './policy-option.ts'

/** containerd waits for ten, where nothing else is configured; the answer has to be out before. */
const SECONDS = 8

export const verifierCommand = defineCommand({
  operands: {},
  options: {
    name: text('REF', 'the image that is about to be pulled'),
    digest: text('DIGEST', 'what the registry says that it is'),
    'stdin-media-type': text('TYPE', 'of what is read on stdin: application/vnd.oci.descriptor.v1+json'),
    policy: POLICY_OPTION,
    agent: text('SOCKET', 'ask the agent or gateway that listens there, where one runs (TAGSEAL_AGENT)'),
    timeout: count('SECONDS', `when the answer is no; ${SECONDS} where nothing is said`),
    serve: text('SOCKET', 'be such an agent'),
  },
  examples: [
    'tagseal verifier -name docker.io/library/alpine:3 -digest sha256:... -stdin-media-type application/vnd.oci.descriptor.v1+json',
    'tagseal verifier --serve /run/tagseal/agent.sock --policy /etc/tagseal/policy.yaml',
  ],
  notes:
    'Called by containerd (io.containerd.image-verifier.v1.bindir) for every image: exit code 0 lets it be pulled, and the line on stdout says why or why not.',
  drains: true,
  async run(context, input) {
    const policy = input.text('policy')
    const serve = input.text('serve')
    if (serve !== undefined) {
      await demandGivenFiles(context)
      const { serveAgent } = await import('../verifier/serve.ts')
      const load = async () => await demandPolicy(context, policy)
      await serveAgent(context, { path: serve, policy: await load(), reload: load })
      return { lines: [], document: {} }
    }
    const { verifyOnce } = await import('../verifier/verify.ts')
    const { exit, code, reason } = await verifyOnce(context, {
      name: input.text('name'),
      digest: input.text('digest'),
      mediaType: input.text('stdin-media-type'),
      policy,
      agent: input.text('agent') ?? (context.env['TAGSEAL_AGENT'] || undefined),
      seconds: input.count('timeout') ?? SECONDS,
    })
    return { lines: [reason], document: { admitted: exit === 0, code, reason }, exit }
  },
})
