import { defineCommand, flag, list, many, text } from './declare.ts'
import { usage } from './errors.ts'
import { POLICY_OPTION } from './policy-option.ts'

const LOCK = 'tagseal.lock'

export const pinCommand = defineCommand({
  operands: { FILE: many('Dockerfiles, compose files, Kubernetes manifests') },
  options: {
    lock: text('FILE', `the lock file; ${LOCK} where nothing is said`),
    check: flag('write nothing, and refuse where lock, files and signatures do not go together'),
    write: flag('write the digests into the files as well'),
    arg: list('NAME=VALUE', 'a variable of the files, as --build-arg has it'),
    policy: POLICY_OPTION,
  },
  examples: [
    'tagseal pin Dockerfile compose.yaml deploy/*.yaml',
    'tagseal pin --check Dockerfile compose.yaml deploy/*.yaml',
  ],
  notes: 'Nothing is written unless every image is signed. Tags of one repository come from one state of it.',
  async run(context, input) {
    const [check, write] = [input.flag('check'), input.flag('write')]
    if (check && write) throw usage('--check writes nothing, and --write does')
    const values = new Map(input.list('arg').map(readValue))
    const { pinFiles } = await import('../pinning/pin.ts')
    return await pinFiles(context, {
      files: input.many('FILE'),
      lock: input.text('lock') ?? LOCK,
      values,
      check,
      write,
      verdicts: await context.verdicts(input.text('policy')),
    })
  },
})

function readValue(text: string): readonly [string, string] {
  const [, name = '', value = ''] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(text) ?? []
  if (name === '') throw usage(`${text} is no NAME=VALUE`, '--arg VERSION=1.4')
  return [name, value]
}
