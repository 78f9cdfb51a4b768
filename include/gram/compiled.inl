// SPDX-License-Identifier: MIT
// No include guard: what gram::compiled holds besides the kernels, for one scalar type GRAM_SCALAR.
// GRAM_TEMPLATE is "extern template" for those who link it and "template" where it is compiled.
namespace gram {

// gram/tensor/create.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> randn(const Shape&, RandomKey);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> randn(const Shape&, std::uint64_t);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> rand(const Shape&, double, double, RandomKey);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> rand(const Shape&, double, double, std::uint64_t);

// gram/tensor/views.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> reshape(const Tensor<GRAM_SCALAR>&, const Shape&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> reshape(const Tensor<GRAM_SCALAR>&, std::initializer_list<Index>);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> rows(const Tensor<GRAM_SCALAR>&, Index, Index);

// gram/nn/init.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> init::truncated_normal(const Shape&, double, Rng&, double);

// gram/ops/activation.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> relu(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> relu6(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> gelu(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> gelu_tanh(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> silu(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> sigmoid(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> tanh(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> hardswish(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> softplus(const Tensor<GRAM_SCALAR>&);

// gram/ops/arithmetic.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> add(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> sub(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> mul(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> div(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> minimum(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> maximum(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> add(const Tensor<GRAM_SCALAR>&, double);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> mul(const Tensor<GRAM_SCALAR>&, double);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> neg(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> exp(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> log(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> sqrt(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> abs(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> pow(const Tensor<GRAM_SCALAR>&, double);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> clamp(const Tensor<GRAM_SCALAR>&, double, double);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> operator+(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> operator-(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> operator*(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> operator/(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> operator-(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> operator+(const Tensor<GRAM_SCALAR>&, double);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> operator+(double, const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> operator-(const Tensor<GRAM_SCALAR>&, double);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> operator-(double, const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> operator*(const Tensor<GRAM_SCALAR>&, double);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> operator*(double, const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> operator/(const Tensor<GRAM_SCALAR>&, double);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> operator/(double, const Tensor<GRAM_SCALAR>&);

// gram/ops/attention.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> attention(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&,
                                            const Tensor<GRAM_SCALAR>&, AttentionOptions);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> attention(const Tensor<GRAM_SCALAR>&, AttentionOptions);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> attention_map(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&,
                                                AttentionOptions);

// gram/ops/batch_norm.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> batch_norm(const Tensor<GRAM_SCALAR>&, const Tensor<accum_t<GRAM_SCALAR>>&,
                                             const Tensor<accum_t<GRAM_SCALAR>>&,
                                             const Tensor<accum_t<GRAM_SCALAR>>&,
                                             const Tensor<accum_t<GRAM_SCALAR>>&, const BatchNormOptions&,
                                             const Tensor<GRAM_SCALAR>&);

// gram/ops/class_attention.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> class_attention(const Tensor<GRAM_SCALAR>&,
                                                  const std::vector<Tensor<GRAM_SCALAR>>&,
                                                  const std::vector<ClassAttentionWeights<GRAM_SCALAR>>&,
                                                  ClassAttentionOptions);

// gram/ops/class_attention_textbook.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> class_attention_textbook(const Tensor<GRAM_SCALAR>&,
                                                           const Tensor<GRAM_SCALAR>&,
                                                           const ClassAttentionWeights<GRAM_SCALAR>&,
                                                           ClassAttentionOptions);

// gram/ops/conv2d.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> conv2d(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&,
                                         const std::type_identity_t<Tensor<GRAM_SCALAR>>&,
                                         const Conv2dOptions&);

// gram/ops/dropout.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> dropout(const Tensor<GRAM_SCALAR>&, double, Rng&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> drop_path(const Tensor<GRAM_SCALAR>&, double, Rng&);

// gram/ops/folded_pointwise_norm.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> folded_pointwise_norm(
    const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&, const Tensor<accum_t<GRAM_SCALAR>>&,
    const Tensor<accum_t<GRAM_SCALAR>>&, const Tensor<accum_t<GRAM_SCALAR>>&,
    const Tensor<accum_t<GRAM_SCALAR>>&, const BatchNormOptions&, const Tensor<GRAM_SCALAR>&);

// gram/ops/gather.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> gather(const Tensor<GRAM_SCALAR>&, int, const Tensor<std::int64_t>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> index_select(const Tensor<GRAM_SCALAR>&, int, const Tensor<std::int64_t>&);

// gram/ops/gram.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> gram_vector(const Tensor<GRAM_SCALAR>&, GramOptions);

// gram/ops/feed_forward.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> feed_forward(const Tensor<GRAM_SCALAR>&,
                                               const FeedForwardWeights<GRAM_SCALAR>&,
                                               const std::type_identity_t<Tensor<GRAM_SCALAR>>&);

// gram/ops/layer_norm.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> layer_norm(const Tensor<GRAM_SCALAR>&, const Tensor<accum_t<GRAM_SCALAR>>&,
                                             const Tensor<accum_t<GRAM_SCALAR>>&, double);

// gram/ops/linear.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> linear(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&,
                                         const std::type_identity_t<Tensor<GRAM_SCALAR>>&,
                                         const std::type_identity_t<Tensor<GRAM_SCALAR>>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> grouped_linear(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&,
                                                 const std::type_identity_t<Tensor<GRAM_SCALAR>>&, Index,
                                                 const std::type_identity_t<Tensor<GRAM_SCALAR>>&);

// gram/ops/matmul.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> matmul(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&,
                                         MatmulOptions);

// gram/ops/normalize.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> l2_normalize(const Tensor<GRAM_SCALAR>&, int, double);

// gram/ops/pool.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> max_pool2d(const Tensor<GRAM_SCALAR>&, const PoolOptions&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> avg_pool2d(const Tensor<GRAM_SCALAR>&, const PoolOptions&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> adaptive_avg_pool2d(const Tensor<GRAM_SCALAR>&, Pair);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> global_avg_pool(const Tensor<GRAM_SCALAR>&);

// gram/ops/reduce.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> sum(const Tensor<GRAM_SCALAR>&, std::initializer_list<int>, ReduceOptions);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> sum(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> mean(const Tensor<GRAM_SCALAR>&, std::initializer_list<int>, ReduceOptions);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> mean(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> max(const Tensor<GRAM_SCALAR>&, std::initializer_list<int>, ReduceOptions);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> max(const Tensor<GRAM_SCALAR>&);
GRAM_TEMPLATE Tensor<std::int64_t> argmax(const Tensor<GRAM_SCALAR>&);

// gram/ops/resize.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> resize(const Tensor<GRAM_SCALAR>&, Pair, ResizeOptions);

// gram/ops/shape.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> permute(const Tensor<GRAM_SCALAR>&, std::initializer_list<int>);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> transpose(const Tensor<GRAM_SCALAR>&, int, int);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> concat(const std::vector<Tensor<GRAM_SCALAR>>&, int);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> slice(const Tensor<GRAM_SCALAR>&, int, Index, Index);
GRAM_TEMPLATE std::vector<Tensor<GRAM_SCALAR>> split(const Tensor<GRAM_SCALAR>&, const std::vector<Index>&,
                                                     int);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> channel_shuffle(const Tensor<GRAM_SCALAR>&, Index, ShuffleOrder);

// gram/ops/softmax.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> softmax(const Tensor<GRAM_SCALAR>&, int);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> log_softmax(const Tensor<GRAM_SCALAR>&, int);

// gram/loss/binary_cross_entropy.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> binary_cross_entropy_with_logits(const Tensor<GRAM_SCALAR>&,
                                                                   const Tensor<GRAM_SCALAR>&,
                                                                   BinaryCrossEntropyOptions);

// gram/loss/cross_entropy.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> cross_entropy(const Tensor<GRAM_SCALAR>&, const Tensor<std::int64_t>&,
                                                CrossEntropyOptions);
GRAM_TEMPLATE Tensor<GRAM_SCALAR> cross_entropy(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&,
                                                CrossEntropyOptions);

// gram/loss/gramian_loss.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> decorrelation_loss(const std::vector<Tensor<GRAM_SCALAR>>&, Reduction);

// gram/loss/kl_divergence.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> kl_divergence(const Tensor<GRAM_SCALAR>&, const Tensor<GRAM_SCALAR>&,
                                                KlDivergenceOptions);

// gram/loss/labels.hpp
GRAM_TEMPLATE Tensor<GRAM_SCALAR> smooth_one_hot(const Tensor<std::int64_t>&, Index, double);

// nn, models
GRAM_TEMPLATE struct Linear<GRAM_SCALAR>;
GRAM_TEMPLATE struct Conv2d<GRAM_SCALAR>;
GRAM_TEMPLATE struct BatchNorm2d<GRAM_SCALAR>;
GRAM_TEMPLATE struct LayerNorm<GRAM_SCALAR>;
GRAM_TEMPLATE struct GramianHead<GRAM_SCALAR>;
GRAM_TEMPLATE struct GramianHeads<GRAM_SCALAR>;
GRAM_TEMPLATE struct ClassifierHeads<GRAM_SCALAR>;

#define GRAM_NETWORK(Network)                                           \
  GRAM_TEMPLATE struct Network<GRAM_SCALAR>;                            \
  GRAM_TEMPLATE Index parameter_count(Network<GRAM_SCALAR>&);           \
  GRAM_TEMPLATE void train(Network<GRAM_SCALAR>&, bool);                \
  GRAM_TEMPLATE void eval(Network<GRAM_SCALAR>&);                       \
  GRAM_TEMPLATE std::vector<NamedPart> parts_of(Network<GRAM_SCALAR>&); \
  GRAM_TEMPLATE ParameterList<GRAM_SCALAR> named_parameters<GRAM_SCALAR>(Network<GRAM_SCALAR>&);
GRAM_NETWORK(CifarResNet)
GRAM_NETWORK(GaCifar)
GRAM_NETWORK(ResNet)
GRAM_NETWORK(GaResNet)
GRAM_NETWORK(Vit)
GRAM_NETWORK(GaVit)
#undef GRAM_NETWORK
GRAM_TEMPLATE models::Model<GRAM_SCALAR> models::create(const std::string&, const models::CreateOptions&,
                                                        Rng&);

// optim, data, io
GRAM_TEMPLATE class Sgd<GRAM_SCALAR>;
GRAM_TEMPLATE class AdamW<GRAM_SCALAR>;
GRAM_TEMPLATE class Loader<GRAM_SCALAR>;
GRAM_TEMPLATE void detail::save_state(PartList<GRAM_SCALAR>, const Optimizer<GRAM_SCALAR>&, Index,
                                      const std::string&, const TrainingSettings&);
GRAM_TEMPLATE Index detail::load_state(PartList<GRAM_SCALAR>, const Optimizer<GRAM_SCALAR>&,
                                       const std::string&, const TrainingSettings&);

}  // namespace gram
