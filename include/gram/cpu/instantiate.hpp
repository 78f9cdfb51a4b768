// SPDX-License-Identifier: MIT
// The source of gram::compiled: the tables of kernels for one scalar type, GRAM_SCALAR. With
// GRAM_STORAGE_ONLY, for bf16, families that compute in accum_t<T> are left out; the tables of that type
// serve.
#pragma once
#include "gram/cpu/attention.hpp"
#include "gram/cpu/batch_norm.hpp"
#include "gram/cpu/class_attention.hpp"
#include "gram/cpu/conv2d_tile.hpp"
#include "gram/cpu/copy.hpp"
#include "gram/cpu/covariance.hpp"
#include "gram/cpu/cross_entropy.hpp"
#include "gram/cpu/decorrelation.hpp"
#include "gram/cpu/depthwise.hpp"
#include "gram/cpu/dropout.hpp"
#include "gram/cpu/elementwise.hpp"
#include "gram/cpu/gram.hpp"
#include "gram/cpu/layer_norm.hpp"
#include "gram/cpu/normalize.hpp"
#include "gram/cpu/optimizer.hpp"
#include "gram/cpu/pointwise_loss.hpp"
#include "gram/cpu/pool.hpp"
#include "gram/cpu/reduce.hpp"
#include "gram/cpu/resize.hpp"
#include "gram/cpu/softmax.hpp"
#include "gram/cpu/thin.hpp"
#include "gram/cpu/tile.hpp"
#include "gram/cpu/tile_bf16.hpp"
#include "gram/cpu/winograd_tile.hpp"

namespace gram::cpu {

template const AttentionTable<GRAM_SCALAR>& attention_table<GRAM_SCALAR>();
template const BatchNormTable<GRAM_SCALAR>& batch_norm_table<GRAM_SCALAR>();
template const CopyTable<GRAM_SCALAR>& copy_table<GRAM_SCALAR>();
template const CovarianceTable<GRAM_SCALAR>& covariance_table<GRAM_SCALAR>();
template const CrossEntropyTable<GRAM_SCALAR>& cross_entropy_table<GRAM_SCALAR>();
template const DecorrelationTable<GRAM_SCALAR>& decorrelation_table<GRAM_SCALAR>();
template const DropoutTable<GRAM_SCALAR>& dropout_table<GRAM_SCALAR>();
template const ElementwiseTable<GRAM_SCALAR>& elementwise_table<GRAM_SCALAR>();
template const LayerNormTable<GRAM_SCALAR>& layer_norm_table<GRAM_SCALAR>();
template const NormalizeTable<GRAM_SCALAR>& normalize_table<GRAM_SCALAR>();
template const OptimizerTable<GRAM_SCALAR>& optimizer_table<GRAM_SCALAR>();
template const PointwiseLossTable<GRAM_SCALAR>& pointwise_loss_table<GRAM_SCALAR>();
template const PoolTable<GRAM_SCALAR>& pool_table<GRAM_SCALAR>();
template const ReduceTable<GRAM_SCALAR>& reduce_table<GRAM_SCALAR>();
template const ResizeTable<GRAM_SCALAR>& resize_table<GRAM_SCALAR>();
template const SoftmaxTable<GRAM_SCALAR>& softmax_table<GRAM_SCALAR>();
#if defined(GRAM_STORAGE_ONLY)
template const PairTileTable<GRAM_SCALAR>& pair_tile_table<GRAM_SCALAR>();
#else
template const ClassAttentionTable<GRAM_SCALAR>& class_attention_table<GRAM_SCALAR>();
template const Conv2dTable<GRAM_SCALAR>& conv2d_table<GRAM_SCALAR>();
template const DepthwiseTable<GRAM_SCALAR>& depthwise_table<GRAM_SCALAR>();
template const GramTable<GRAM_SCALAR>& gram_table<GRAM_SCALAR>();
template const ThinTable<GRAM_SCALAR>& thin_table<GRAM_SCALAR>();
template const TileTable<GRAM_SCALAR>& tile_table<GRAM_SCALAR>();
template const WinogradTable<GRAM_SCALAR>& winograd_table<GRAM_SCALAR>();
#endif

}  // namespace gram::cpu
