/** Where images stand in the objects of Kubernetes, whatever the objects are read from. */

/** A document of either kind: YAML with its aliases, or JSON. */
export type Tree<N> = {
  readonly member: (node: N | undefined, name: string) => N | undefined
  /** What a list holds, each in its place; nothing for what is no list. */
  readonly items: (node: N | undefined) => readonly N[]
  /** Everything right below, with the names that lead there. */
  readonly below: (node: N) => Iterable<readonly [string, N]>
  /** Told of each object on the way, so that it can end a walk that goes too far. */
  readonly look: (node: N, depth: number) => void
}

export type Path = readonly string[]
/** `owner`: the container or volume, by its list and name. */
export type Spot<N> = { readonly image: N; readonly path: Path; readonly list: string; readonly owner: N }

export const CONTAINERS = ['containers', 'initContainers', 'ephemeralContainers'] as const

/** The images that a pod names: of its containers of every kind, and of its volumes. */
export function* imagesOfPod<N>(tree: Tree<N>, pod: N, path: Path): Generator<Spot<N>, void, undefined> {
  for (const list of CONTAINERS) {
    for (const [i, owner] of tree.items(tree.member(pod, list)).entries()) {
      const image = tree.member(owner, 'image')
      if (image !== undefined) yield { image, path: [...path, list, String(i), 'image'], list, owner }
    }
  }
  for (const [i, owner] of tree.items(tree.member(pod, 'volumes')).entries()) {
    const image = tree.member(tree.member(owner, 'image'), 'reference')
    if (image !== undefined) {
      yield { image, path: [...path, 'volumes', String(i), 'image', 'reference'], list: 'volumes', owner }
    }
  }
}

/** Wherever containers are: of every kind that there is, of lists, and of kinds that somebody else defined. */
export function* imagesAnywhere<N>(
  tree: Tree<N>,
  node: N,
  path: Path = [],
  depth = 0,
): Generator<Spot<N>, void, undefined> {
  tree.look(node, depth)
  yield* imagesOfPod(tree, node, path)
  for (const [name, value] of tree.below(node)) yield* imagesAnywhere(tree, value, [...path, name], depth + 1)
}
