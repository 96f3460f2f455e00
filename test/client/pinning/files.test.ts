import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readSource, refuseUnnamed, rewritten } from '../../../client/pinning/files.ts'

const folder = await mkdtemp(join(tmpdir(), 'tagseal-pinning-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))

const read = async (name: string, text: string | Uint8Array, values: Readonly<Record<string, string>> = {}) => {
  const path = join(folder, name)
  await writeFile(path, text)
  return await readSource(path, new Map(Object.entries(values)))
}

type Case = {
  readonly text: string
  readonly images: readonly string[]
  readonly values?: Readonly<Record<string, string>>
}

const DOCKERFILES: Record<string, Case> = {
  'one base': { text: 'FROM alpine:3\nRUN true\n', images: ['1 alpine:3'] },
  'a platform and a name': { text: 'from --platform=$BUILDPLATFORM golang:1 as Build\n', images: ['1 golang:1'] },
  'stages are no images': {
    text: 'FROM a:1 AS one\nFROM one\nFROM b:1 AS two\nCOPY --from=ONE /x /x\nCOPY --from=0 / /\nCOPY --from=two / /\n',
    images: ['1 a:1', '3 b:1'],
  },
  'scratch is none': {
    text: 'FROM scratch\nCOPY --chown=1 --from=a:1 / /\nADD --from=b:1 / /\n',
    images: ['2 a:1', '3 b:1'],
  },
  'a stage that comes later is an image until then': {
    text: 'FROM x:1\nCOPY --from=late / /\nFROM y:1 AS late\n',
    images: ['1 x:1', '2 late', '3 y:1'],
  },
  'an image that is mounted': {
    text: 'FROM a:1\nRUN --mount=type=cache,target=/c --mount=type=bind,from=b:1,target=/b --network=none true --mount=from=c\n',
    images: ['1 a:1', '2 b:1'],
  },
  'the frontend that reads the file': {
    text: '# escape=`\n# syntax=docker/dockerfile:1.7\nFROM a:1\nRUN one `\n  FROM two\n',
    images: ['2 docker/dockerfile:1.7', '3 a:1'],
  },
  'a directive after a comment is a comment': { text: '# hello\n\n# syntax=a:1\nFROM b:1\n', images: ['4 b:1'] },
  'lines that go on, with comments between': {
    text: 'FROM \\\n# why\n\n  a:1 \\\n  AS x\nRUN echo \\\n# no\nFROM b\nFROM c:1\n',
    images: ['1 a:1', '9 c:1'],
  },
  'what a heredoc says is no instruction': {
    text: 'FROM a:1\nRUN <<EOF cat <<-"END"\nFROM b:1\nEOF\nFROM c:1\n\tEND\nCOPY <<X /x\nFROM d:1\nX\nFROM e:1\n',
    images: ['1 a:1', '10 e:1'],
  },
  'defaults of arguments': {
    text: 'ARG V=1.4\nARG IMAGE="team/app:$V"\nARG NONE\nFROM $IMAGE\nFROM ${REPO:-team}/b:${V}\nFROM ${NONE:-c}:1\nFROM d${V:+:new}\n',
    images: ['4 team/app:1.4', '5 team/b:1.4', '6 c:1', '7 d:new'],
  },
  'an argument that is given': { text: 'ARG V=1.4\nFROM a:$V\n', images: ['2 a:2'], values: { V: '2' } },
  'an argument of a stage is none of its base': {
    text: 'ARG V=1\nFROM a:$V\nARG V=2\nFROM b:$V\n',
    images: ['2 a:1', '4 b:1'],
  },
  'what other stages are to do': { text: 'FROM a:1\nONBUILD COPY --from=b:1 / /\n', images: ['1 a:1', '2 b:1'] },
  'a base in quotes': { text: 'FROM "a:1" AS x\n', images: ['1 a:1'] },
  'a mark of the byte order, and a line for a shell': {
    text: '\uFEFF#!/usr/bin/env docker\n# check=skip=all, error=true\n# syntax=s:1\nFROM a:1\n',
    images: ['3 s:1', '4 a:1'],
  },
  'a mark of the byte order before the base': { text: '\uFEFFFROM a:1\n', images: ['1 a:1'] },
  'what looks like a heredoc and is none': {
    text: 'FROM a:1\nRUN cat <<<word\nRUN echo $((1<<FOO)) "<<BAR"\nLABEL x=<<BAZ\nFROM b:1\n',
    images: ['1 a:1', '5 b:1'],
  },
  'heredocs with numbers and odd names': {
    text: 'FROM a:1\nRUN 3<<EOF-1 cat\nFROM x\nEOF-1\nONBUILD RUN <<E\nFROM y\nE\nFROM b:1\n',
    images: ['1 a:1', '8 b:1'],
  },
  'a stage that a variable names': {
    text: 'ARG KIND=prod\nFROM a:1 AS dev\nFROM b:1 AS prod\nFROM $KIND\nFROM ${KIND:-x}\n',
    images: ['2 a:1', '3 b:1'],
  },
  'several arguments in one line': {
    text: 'ARG A=1 B="2"\nFROM a:$A$B\n',
    images: ['2 a:12'],
  },
  'a registry with a port, and a digest': {
    text: `FROM r.io:5000/a:1@sha256:${'a'.repeat(64)}\n`,
    images: [`1 r.io:5000/a:1@sha256:${'a'.repeat(64)}`],
  },
  'lines of another system': { text: 'FROM a:1\r\nCOPY --from=b:1 \\\r\n / /\r\n', images: ['1 a:1', '2 b:1'] },
}
for (const [name, { text, images, values }] of Object.entries(DOCKERFILES)) {
  await t.test(`Dockerfile: ${name}`, async (t) => {
    const source = await read('Dockerfile', text, values)
    t.same(
      source.images.map(({ line, image }) => `${line} ${image}`),
      images,
    )
  })
}

const pod = (image: string) => `spec: {containers: [{name: a, image: ${image}}]}`
const object = (kind: string, rest: string) => `apiVersion: v1\nkind: ${kind}\n${rest}\n`
const YAML: Record<string, Case> = {
  'a pod with containers of every kind, and an image for a volume': {
    text: object(
      'Pod',
      `spec:
  initContainers: [{image: a:1}]
  containers:
    - image: "b:1"
    - name: without
  ephemeralContainers:
    - image: 'c:1'
  volumes:
    - name: v
      image: {reference: d:1, pullPolicy: Always}
    - name: w
      emptyDir: {}`,
    ),
    images: ['4 a:1', '6 b:1', '9 c:1', '12 d:1'],
  },
  ...Object.fromEntries(
    ['Deployment', 'ReplicaSet', 'DaemonSet', 'StatefulSet', 'Job', 'ReplicationController', 'Rollout'].map((kind) => [
      `a ${kind}`,
      { text: object(kind, `spec: {template: {${pod('a:1')}}}`), images: ['3 a:1'] },
    ]),
  ),
  'a CronJob': {
    text: object('CronJob', `spec: {jobTemplate: {spec: {template: {${pod('a:1')}}}}}`),
    images: ['3 a:1'],
  },
  'a PodTemplate': { text: object('PodTemplate', `template: {${pod('a:1')}}`), images: ['3 a:1'] },
  'a List': {
    text: object(
      'List',
      `items:\n- {apiVersion: v1, kind: Pod, ${pod('a:1')}}\n- {apiVersion: v1, kind: Pod, ${pod('b:1')}}`,
    ),
    images: ['4 a:1', '5 b:1'],
  },
  'several documents, empty ones among them': {
    text: `---\n---\n${object('Pod', pod('a:1'))}---\n# nothing\n---\n${object('Pod', pod('b:1'))}`,
    images: ['5 a:1', '11 b:1'],
  },
  'an object without containers': { text: object('ConfigMap', 'data: {image: a:1}'), images: [] },
  'a compose file': {
    text: 'services:\n  a: {image: a:1}\n  b: {build: ., pull_policy: build, image: own:1}\n  c: {build: ., image: c:1}\n  d: {build: .}\n  e:\n    volumes: [{type: image, source: e:1, target: /e}, "f:/f"]\n',
    images: ['2 a:1', '4 c:1', '7 e:1'],
  },
  'variables of a compose file': {
    text: 'services:\n  a: {image: "${REG:-r.io}/a:${TAG}"}\n  b: {image: "b:${X-1}"}\n',
    images: ['2 r.io/a:2', '3 b:1'],
    values: { TAG: '2' },
  },
  'an image that is merged in': {
    text: 'x-base: &base\n  image: a:1\nservices:\n  one: *base\n  two: {<<: *base, restart: always}\n  three: {<<: [{}, *base], image: b:1}\n',
    images: ['2 a:1', '2 a:1', '6 b:1'],
  },
  'what other members of a compose file hold': {
    text: 'name: x\nx-image: {image: no:1}\nservices:\n  a: {image: a:1, profiles: [dev], labels: {image: no:1}}\n  b: {extends: a}\n  c: {image: !reset null}\n  d: {image: "d:$${X}1"}\n'.replace(
      '$${X}',
      '',
    ),
    images: ['4 a:1', '7 d:1'],
  },
  'a Dockerfile within a compose file, and images that it is given': {
    text: 'services:\n  a:\n    build:\n      context: .\n      dockerfile_inline: |\n        FROM a:1\n        COPY --from=more / /\n        COPY --from=b:1 / /\n      additional_contexts:\n        more: docker-image://c:1\n        here: ./x\n  b: {build: {additional_contexts: ["d=docker-image://d:1"]}}\n',
    images: ['5 a:1', '5 b:1', '10 c:1', '12 d:1'],
  },
  'variables that must be there': {
    text: 'services:\n  a: {image: "a:${V:?say which}"}\n  b: {image: "b:${V?}"}\n',
    images: ['2 a:2', '3 b:2'],
    values: { V: '2' },
  },
  JSON: { text: '{"apiVersion": "v1", "kind": "Pod",\n"spec": {"containers": [{"image": "a:1"}]}}', images: ['2 a:1'] },
}
for (const [name, { text, images, values }] of Object.entries(YAML)) {
  await t.test(`YAML: ${name}`, async (t) => {
    const source = await read('file.yaml', text, values)
    t.same(
      source.images.map(({ line, image }) => `${line} ${image}`),
      images,
    )
  })
}

const deep = (count: number) => `${'{a: '.repeat(count)}1${'}'.repeat(count)}`
const bomb = [
  'a: &a [x, x, x, x, x, x, x, x, x, x]',
  ...'bcdefgh'.split('').map((name, i) => `${name}: &${name} [${Array(10).fill(`*${'abcdefg'[i]}`).join(', ')}]`),
]
const REFUSED: Record<
  string,
  { name: string; text: string | Uint8Array; code?: string; line?: number; says?: string }
> = {
  'a file of no known kind': { name: 'README.md', text: '', code: 'USAGE' },
  'text that is none': { name: 'Dockerfile', text: new Uint8Array([0xff, 0xfe]) },
  'a file that is too large': { name: 'Dockerfile', text: 'x'.repeat(5_000_000), code: 'FILE_UNREADABLE' },
  'a variable that nobody gave a value': { name: 'Dockerfile', text: '\nFROM a:$V\n', line: 2 },
  'a variable where docker replaces none': { name: 'Dockerfile', text: 'FROM a:1\nCOPY --from=$X / /\n', line: 2 },
  'a FROM without an image': { name: 'Dockerfile', text: 'FROM --platform=x\n', line: 1 },
  'an empty Dockerfile': { name: 'Dockerfile', text: '', line: 1, says: 'no FROM' },
  'a Dockerfile with a word in the place of FROM': {
    name: 'Dockerfile',
    text: '# x\nFORM a:1\n',
    line: 2,
    says: 'FORM',
  },
  'a Dockerfile with an instruction that is misspelt': {
    name: 'Dockerfile',
    text: 'FROM a:1\nCOPPY --from=b:1 / /\n',
    line: 2,
    says: 'COPPY',
  },
  'a Dockerfile with a misspelt instruction for others': {
    name: 'Dockerfile',
    text: 'FROM a:1\nONBUILD COPPY --from=b:1 / /\n',
    line: 2,
  },
  'a $ that begins nothing': { name: 'Dockerfile', text: 'FROM a:$-\n', line: 1 },
  'YAML that is broken': { name: 'a.yaml', text: 'a: [1\nb: 2\n' },
  'a name that is there twice': { name: 'a.yaml', text: 'services: {}\nservices: {}\n', line: 2 },
  'a template that is no YAML yet': {
    name: 'a.yaml',
    says: 'rendered',
    text: '{{ if .X }}\napiVersion: v1\n{{ end }}\n',
  },
  'a template in the place of an image': {
    name: 'a.yaml',
    text: `apiVersion: v1\nkind: Pod\n${pod('{{ .Values.image }}')}\n`,
    line: 3,
    says: 'rendered',
  },
  'a template within an image': {
    name: 'a.yaml',
    text: `apiVersion: v1\nkind: Pod\n${pod('"a:{{ .Values.tag }}"')}\n`,
    line: 3,
    says: 'rendered',
  },
  'a template of a Dockerfile': { name: 'Dockerfile', text: 'FROM a:{{ version }}\n', line: 1, says: 'rendered' },
  'what kustomize has yet to make': {
    name: 'kustomization.yaml',
    text: 'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nimages: [{name: a, newTag: "1"}]\n',
    line: 1,
    says: 'rendered',
  },
  'a heredoc without an end': { name: 'Dockerfile', text: 'FROM a:1\nRUN <<EOF\nFROM b:1\n', line: 2 },
  'a variable that must be there and is not': {
    name: 'a.yaml',
    text: 'services:\n  a: {image: "a:${V:?say}"}\n',
    line: 2,
  },
  'YAML of another kind': { name: 'a.yaml', text: 'a: 1\n', line: 1 },
  'an image that is no text': { name: 'a.yaml', text: 'services: {a: {image: [1]}}\n', line: 1 },
  'an alias of nothing': { name: 'a.yaml', text: 'services: *none\n' },
  'a file that repeats itself a billion times': {
    name: 'a.yaml',
    text: `apiVersion: v1\nkind: Pod\n${bomb.join('\n')}\n`,
  },
  'an alias within itself': { name: 'a.yaml', text: 'apiVersion: v1\nkind: Pod\na: &a {b: *a}\n' },
  'a file that is nested too deeply': { name: 'a.yaml', text: `apiVersion: v1\nkind: Pod\na: ${deep(200)}\n` },
  'a file that is nested far too deeply': { name: 'a.yaml', text: `apiVersion: v1\nkind: Pod\na: ${deep(20_000)}\n` },
}
for (const [sentence, { name, text, code = 'FILE_MALFORMED', line, says = '' }] of Object.entries(REFUSED)) {
  await t.test(`refuses ${sentence}`, async (t) => {
    await t.rejects(read(name, text), {
      name: 'CommandError',
      code,
      message: new RegExp(says),
      ...(line === undefined ? {} : { detail: { path: join(folder, `${name}:${line}`) } }),
    })
  })
}

await t.test('only the images are replaced, and the rest stays as it is, byte for byte', async (t) => {
  const write = async (name: string, text: string) => {
    const source = await read(name, text)
    return rewritten(
      source,
      source.images.map((named) => ({ named, image: `${named.image}@D` })),
    )
  }
  t.equal(
    await write(
      'Dockerfile',
      '# syntax=s:1\nARG  I="a:1" # x\nARG V=1\nFROM   $I  AS x\r\nFROM b:$V\nFROM c:1 AS y\nRUN --mount=from=d:1,type=bind x\nCOPY --from=e:1 / /',
    ),
    '# syntax=s:1@D\nARG  I="a:1@D" # x\nARG V=1\nFROM   $I  AS x\r\nFROM b:$V\nFROM c:1@D AS y\nRUN --mount=from=d:1@D,type=bind x\nCOPY --from=e:1@D / /',
  )
  t.equal(
    await write(
      'a.yaml',
      'x: &x {image: "a:1"} # why\nservices:\n  a: *x\n  b: *x\n  c:\n    image:   b:1   # and why\n  d: {image: \'c:1\'}\n  e: {image: "${A:-d:1}"}\n',
    ),
    'x: &x {image: "a:1@D"} # why\nservices:\n  a: *x\n  b: *x\n  c:\n    image:   b:1@D   # and why\n  d: {image: \'c:1@D\'}\n  e: {image: "${A:-d:1}"}\n',
  )
})

const TAKES_IN: Record<string, { text: string; line: number }> = {
  'a file that is included': { text: 'include:\n  - other.yaml\n', line: 2 },
  'one of several that are included as one': { text: 'include: [{path: [main.yaml,\n  ./other.yaml]}]\n', line: 2 },
  'a file that a service extends': {
    text: 'services:\n  a:\n    extends: {service: b, file: other.yaml}\n  b: {extends: a}\n',
    line: 3,
  },
}
for (const [name, { text, line }] of Object.entries(TAKES_IN)) {
  await t.test(`refuses ${name} and is not named, and is content with it`, async (t) => {
    const main = await read('main.yaml', text)
    const error = { code: 'FILE_MALFORMED', detail: { path: join(folder, `main.yaml:${line}`) } }
    t.throws(() => refuseUnnamed([main]), error)
    t.doesNotThrow(() => refuseUnnamed([main, { ...main, path: join(folder, 'other.yaml'), text: 'services: {}\n' }]))
  })
}

await t.test('refuses an inclusion that includes itself for ever', async (t) => {
  const main = await read('main.yaml', 'include: [&a {<<: *a}]\n')
  t.throws(() => refuseUnnamed([main]), { code: 'FILE_MALFORMED' })
})
