// Written by `python -m scripts.ui_types` from the server's structs. Do not change it by hand.

export type AttachedStanding = {
  replica: string;
  address: string;
  hearths: number;
  names: string[];
  waiting: number;
  prompt_tokens: number;
  running: number;
  kv_tokens: number;
  age_s: number | null;
  assumed: boolean;
};

export type AutoscaleStatus = {
  mode: string;
  leader: boolean;
  running: number | null;
  target: number | null;
  wanted: number | null;
  words: string;
  trouble: string;
};

export type BudgetLimitStatus = {
  period: string;
  name: string;
  ends_in_s: number;
  spent_usd: number;
  reserved_usd: number;
  limit_usd: number | null;
  left_usd: number | null;
  others_usd: number;
  others_spent_usd: number | null;
  target: string | null;
  key: string | null;
  spent: boolean;
};

export type BudgetStatus = {
  when_spent: string;
  limits: BudgetLimitStatus[];
};

export type ChoreView = {
  name: string;
  state: "done" | "failed" | "running" | "waiting";
  restarts: number;
  trouble: string | null;
};

export type CloudShareStatus = {
  wanted: number;
  share: number | null;
  counted: number;
  thresholds: Record<string, number>;
};

export type Considered = {
  target: string;
  reason: string;
  words: string;
  cost_usd: number | null;
};

export type Decision = {
  id: string;
  at: number;
  dialect: string;
  model: string;
  target: string | null;
  reason: string;
  words: string;
  degraded: string[];
  considered: Considered[];
  attempts: Exchange[];
  prompt_tokens: number;
  completion_tokens: number;
  cached_tokens: number;
  reasoning_tokens: number;
  estimated_tokens: number;
  score: number | null;
  task: string | null;
  stream: boolean;
  status: number;
  ttft_ms: number | null;
  total_ms: number;
  requires: string[];
  session: string | null;
  cost_usd: number | null;
  advice: string | null;
  finish: string | null;
  caller: string;
  personal: string[];
  kept: any;
  judged: Exchange | null;
  trace: string;
  origin: string;
  store_away_s: number | null;
};

export type DecisionBrief = {
  id: string;
  at: number;
  model: string;
  target: string | null;
  reason: string;
  status: number;
  ttft_ms: number | null;
  total_ms: number;
  prompt_tokens: number;
  completion_tokens: number;
  cost_usd: number | null;
  attempts: number;
  degraded: string[];
};

export type EngineStatus = {
  model: string;
  device: string;
  replicas: ReplicaStatus[];
  gpus: GpuStatus[];
  log_tail: string[];
};

export type Exchange = {
  target: string;
  lane: string;
  started_ms: number;
  ended_ms: number;
  outcome: string;
  first_token_ms: number | null;
  status: number | null;
  message: string;
  retry_after: number | null;
  prompt_tokens: number;
  completion_tokens: number;
  cached_tokens: number;
  reasoning_tokens: number;
  cost_usd: number | null;
  estimated: boolean;
  price_date: string | null;
  searches: number;
};

export type FleetReport = {
  own: PeerSummary;
  peers: PeerStanding[];
  store: StoreStanding | null;
  attached: AttachedStanding[];
};

export type GpuStatus = {
  index: number;
  name: string;
  memory_total: number;
  memory_used: number;
  utilization: number;
};

export type LoadStatus = {
  waiting: number;
  running: number;
  predicted_ttft_ms: number | null;
  kv_cache: number | null;
  over: string[];
  words: string;
};

export type ModelStatus = {
  name: string;
  model: string;
  state: string;
  for_s: number;
  load: string;
  why: string;
  wait_s: number | null;
  cause: string;
  gpus: number[];
  memory: number;
  waiting: number;
  in_flight: number;
  predicted_ttft_ms: number | null;
};

export type PeerStanding = {
  address: string;
  state: PeerState;
  heard_ago_s: number | null;
  summary: PeerSummary | null;
  differs: string[];
  trouble: string;
  via: string;
};

export type PeerState = "alive" | "refused" | "self" | "stale" | "unknown";

export type PeerSummary = {
  name: string;
  model: string;
  ready: boolean;
  waiting: number;
  running: number;
  predicted_ttft_ms: number | null;
  over: string;
  version: string;
  settings: string;
  protocol: number;
  instance: string;
};

export type ReplicaStatus = {
  name: string;
  state: string;
  for_s: number;
  models: string[];
  max_model_len: number | null;
  pid: number | null;
  address: string;
  restarts: number;
  cause: string | null;
  ready_in_s: number | null;
  waiting: number | null;
  running: number | null;
  kv_cache: number | null;
  in_flight: number;
  last_byte_ago_s: number | null;
  slots: number | null;
  asleep: boolean;
};

export type RunningStatus = {
  id: string;
  model: string;
  target: string;
  phase: string;
  for_s: number;
  prompt_tokens: number;
  tokens: number | null;
  tokens_per_s: number | null;
  caller: string;
};

export type SettingsStatus = {
  path: string | null;
  reloaded_at: number | null;
  error: string | null;
};

export type StatusReport = {
  version: string;
  started_at: number;
  uptime_s: number;
  address: string;
  engine: EngineStatus;
  models: ModelStatus[];
  load: LoadStatus;
  thresholds: ThresholdStatus | null;
  draining: boolean;
  running: RunningStatus[];
  cloud_share: CloudShareStatus | null;
  targets: TargetStatus[];
  budget: BudgetStatus | null;
  autoscale: AutoscaleStatus | null;
  in_flight: number;
  decisions: DecisionBrief[];
  not_in_force: string[];
  settings: SettingsStatus;
  notes: string[];
  chores: ChoreView[];
};

export type StoreStanding = {
  url: string;
  away_s: number | null;
  trouble: string;
  hearths: number;
  calls: number;
};

export type TargetStatus = {
  name: string;
  label: string;
  state: string;
  why: string;
  breaker: string;
  price_known: boolean;
  retry_in_s: number | null;
  held_s: number | null;
  in_flight: number;
  certified: string[];
  key: boolean | null;
  last_failure: string;
  usd_per_million: [number, number] | null;
  price_source: string | null;
  price_date: string | null;
  ttft_ms: number | null;
  notes: string[];
};

export type ThresholdStatus = {
  ttft_ms: number;
  queue: number;
  kv_cache: number;
  gpu: number;
  release: number;
  complexity: number;
  context_tokens: number;
  auto: string[];
};
