import t from 'tap'
import { refusalBy } from '../../client/admission/answer.ts'
import { GatewayError } from '../../client/gateway/errors.ts'
import { refusalOf } from '../../client/gateway/refusal.ts'
import { ClientError } from '../../client/trust/errors.ts'
import { VerdictError } from '../../client/verdict/errors.ts'

const repository = 'registry.example.com/team/app'
const digest = `sha256:${'a'.repeat(64)}`
type Case = { readonly error: Error; readonly pulls: RegExp; readonly runs: RegExp }
const CASES: Record<string, Case> = {
  'a tag that nobody signed': {
    error: new ClientError('TAG_NOT_SIGNED', { repository, tag: '1.4' }),
    pulls: /has no signed tag 1\.4.*; (hint: )?ask its owner to sign it, or whoever runs this (gateway|webhook)$/,
    runs: /; (hint: )?tagseal list registry\.example\.com\/team\/app shows the signed tags$/,
  },
  'an image that no rule speaks of': {
    error: new VerdictError('NO_RULE', { repository, policy: '/etc/tagseal/policy.yaml' }),
    pulls: /speaks of registry\.example\.com\/team\/app.*; (hint: )?ask whoever runs this (gateway|webhook)$/,
    runs: /; (hint: )?add one to \/etc\/tagseal\/policy\.yaml: "tagseal policy test/,
  },
  'what a rule refuses': {
    error: new VerdictError('REFUSED_BY_RULE', { repository, rule: '**', where: 'policy.yaml:3:5' }),
    pulls: /; (hint: )?ask whoever runs this (gateway|webhook)$/,
    runs: /; (hint: )?it stands at policy\.yaml:3:5$/,
  },
  'a trust server that does not answer': {
    error: new ClientError('TIMEOUT', { url: 'https://trust.example.com/', milliseconds: 8000 }),
    pulls: /; (hint: )?try again; if it stays so, ask whoever runs this (gateway|webhook)$/,
    runs: /TIMEOUT|trust\.example\.com/,
  },
  'a digest that is not the signed one, where everybody has the same to do': {
    error: new VerdictError('DIGEST_DIFFERS', { image: `${repository}:1.4`, expected: digest, signed: digest }),
    pulls: /; (hint: )?do not use the digest that was given/,
    runs: /; (hint: )?do not use the digest that was given/,
  },
}
for (const [name, { error, pulls, runs }] of Object.entries(CASES)) {
  await t.test(`whoever pulls is told their own next step, and the log that of its reader: ${name}`, async (t) => {
    for (const { message, told } of [refusalOf(error), refusalBy(error)]) {
      t.match(message, pulls)
      t.match(told, runs)
    }
  })
}

await t.test('a registry that no rule names is opened by whoever runs the gateway, and by nobody else', async (t) => {
  const { message, told } = refusalOf(new GatewayError('REGISTRY_NOT_ALLOWED', { registry: 'docker.io' }))
  t.match(message, /names the registry docker\.io; ask whoever runs this gateway$/)
  t.match(told, /names the registry docker\.io; add one for docker\.io\/\.\.\.$/)
})
