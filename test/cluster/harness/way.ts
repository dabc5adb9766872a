// Chooses one of the three ways to a cluster from facts about the machine; pure, and always able to say why.

export type Way =
  | { readonly kind: 'existing'; readonly kubeconfig: string; readonly why: string }
  | { readonly kind: 'kind'; readonly why: string }
  | { readonly kind: 'bare'; readonly why: string }
  | { readonly kind: 'none'; readonly why: string; readonly missing: readonly string[] };

export interface MachineFacts {
  /** From `--kubeconfig` or KUBECONFIG; undefined when it is that of a cluster of ours. */
  readonly kubeconfig: string | undefined;
  readonly kindProgram: boolean;
  /** A Docker engine that answers, not only the client. */
  readonly dockerEngine: boolean;
  readonly platform: string;
  readonly root: boolean;
  readonly goProgram: boolean;
  /** Required by the bare way and cheap to check: the kernel's list of file systems has overlay. */
  readonly overlayFs: boolean;
  /** The kernel's firewall sees packets between the ports of a bridge. */
  readonly bridgeFilter: boolean;
}

/** The first way that works, in the order existing → kind → bare; `only` forces one. */
export function chooseWay(facts: MachineFacts, only?: 'kind' | 'bare'): Way {
  if (facts.kubeconfig !== undefined && only === undefined) {
    return { kind: 'existing', kubeconfig: facts.kubeconfig, why: `a kubeconfig was given (${facts.kubeconfig})` };
  }
  const missingForKind = [
    ...(facts.dockerEngine ? [] : ['a running Docker engine: https://docs.docker.com/engine/install/']),
    ...(facts.kindProgram ? [] : ['kind: go install sigs.k8s.io/kind@v0.33.0']),
  ];
  const missingForBare = [
    ...(facts.platform === 'linux' ? [] : [`Linux (this is ${facts.platform})`]),
    ...(facts.root ? [] : ['root: sudo -E npm run cluster -- up']),
    ...(facts.overlayFs ? [] : ['the overlay file system: modprobe overlay']),
    ...(facts.bridgeFilter ? [] : ['the bridge filter: modprobe br_netfilter']),
    ...(facts.goProgram ? [] : ['Go 1.26 or later: https://go.dev/doc/install']),
  ];
  if (only !== 'bare' && missingForKind.length === 0) {
    return { kind: 'kind', why: 'kind and a Docker engine are here' };
  }
  if (only !== 'kind' && missingForBare.length === 0) {
    const without = missingForKind.map((line) => line.split(':')[0]).join(' and ');
    return {
      kind: 'bare',
      why: only === 'bare' ? 'it was asked for' : `Linux and root, no KUBECONFIG, without ${without}`,
    };
  }
  return {
    kind: 'none',
    why: 'this machine has none of the three ways to a cluster',
    missing: [
      ...(only === 'bare' ? [] : missingForKind.map((line) => `for kind: ${line}`)),
      ...(only === 'kind' ? [] : missingForBare.map((line) => `for the bare cluster: ${line}`)),
      ...(only === undefined ? ['for a cluster that exists: --kubeconfig FILE'] : []),
    ],
  };
}
