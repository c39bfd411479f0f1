// Every schema of tokenmask, and nothing else. The meaning of each op is the docstring in tokenmask/ops/<op>.py.
#include <torch/library.h>

TORCH_LIBRARY(tokenmask, m) {
  m.def(
      "attend_cached(Tensor query, Tensor row_splits, Tensor keys, Tensor values, Tensor lengths, Tensor? allowed) "
      "-> Tensor");
  m.def("choose(Tensor scores, Tensor is_open, Tensor count) -> Tensor");
  m.def("commit(Tensor ids, Tensor proposed, Tensor confidence, Tensor is_open, Tensor count) -> (Tensor, Tensor)");
  m.def("embed_codes(Tensor ids, Tensor table) -> Tensor");
  m.def("embed_codes_backward(Tensor grad, Tensor ids, int table_rows) -> Tensor");
  m.def("gate(Tensor x) -> Tensor");
  m.def("gate_backward(Tensor grad, Tensor x) -> Tensor");
  m.def(
      "mask_tokens(Tensor ids, Tensor maskable, Tensor count, Tensor mask_ids, Tensor? scores, Tensor? random_low, "
      "Tensor? random_high, Tensor sample_ids, int seed, int mask_below, int random_below) "
      "-> (Tensor, Tensor, Tensor)");
  m.def("quantize_residual(Tensor x, Tensor codebooks, bool unit_norm) -> (Tensor, Tensor)");
  m.def(
      "reveal(Tensor logits, Tensor index, Tensor slots, Tensor ids, Tensor score, Tensor is_open, Tensor count, "
      "Tensor counters, int later, Tensor seeds, float temperature, int top_k, float top_p, float min_p, int offset, "
      "int by, Tensor? noise, Tensor? ranks) -> (Tensor, Tensor, Tensor, Tensor)");
  m.def("rms_norm(Tensor x, Tensor weight, float eps) -> (Tensor, Tensor)");
  m.def("rms_norm_backward(Tensor grad, Tensor x, Tensor scale, Tensor weight) -> (Tensor, Tensor)");
  m.def(
      "rotate_and_store(Tensor qkv, Tensor query_weight, Tensor key_weight, Tensor cos, Tensor sin, Tensor? query_cos, "
      "Tensor? query_sin, Tensor row_splits, Tensor slots, Tensor(a!) keys, Tensor(b!) values, float eps) -> Tensor");
  m.def(
      "sample_codes(Tensor logits, Tensor counters, int seed, Tensor? seeds, float temperature, Tensor? temperatures, "
      "int top_k, float top_p, float min_p, Tensor? uncond, float guidance, Tensor? guidances, Tensor? allowed) "
      "-> (Tensor, Tensor, Tensor, Tensor)");
  m.def(
      "turn_heads(Tensor qkv, Tensor query_weight, Tensor key_weight, Tensor cos, Tensor sin, Tensor query_cos, "
      "Tensor query_sin, float eps) -> (Tensor, Tensor)");
  m.def(
      "turn_heads_backward(Tensor query, Tensor key, Tensor value, Tensor qkv, Tensor query_weight, Tensor key_weight, "
      "Tensor cos, Tensor sin, Tensor query_cos, Tensor query_sin, float eps) -> (Tensor, Tensor, Tensor)");
  m.def("uniform(Tensor counters, int seed, Tensor? seeds, int purpose) -> Tensor");
}
