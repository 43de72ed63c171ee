"""Claims about the size of gradients: too small, too large, or driven by a factor of 2. Run by slopes.py."""

from whyloss.claims.claim import Claim, Experiment, Panel, Statement, Text
from whyloss.claims.sentences.slopes import ends, explosion, factor_two, vanishing

GRADIENT = Text("size of the gradient on the label's output", "标签输出上的梯度大小")
PROBABILITY = Text("probability of the label", "标签的概率")
STEP = Text("step", "步数")

CLAIMS = [
    Claim(
        id="S1-6/8",
        sentence=Text(
            "With MSE, a large difference between prediction and label makes the gradient large, and gradients "
            "explode.",
            "使用 MSE 时，预测值与真实值差异较大会使梯度较大，从而导致梯度爆炸。",
        ),
        statements=(
            Statement(
                "unbounded",
                Text("the gradient keeps growing with the error", "梯度随误差不断增大"),
                Text(
                    "largest gradient for outputs within ±100, ratio to the largest within ±10",
                    "输出在 ±100 以内与 ±10 以内的最大梯度之比",
                ),
                margin=1.0,
                unit="factor",
            ),
            Statement(
                "grows",
                Text("training explodes: its gradient grows instead of shrinking", "训练发散：梯度不减反增"),
                Text(
                    "gradient after the last step, ratio to the first; from 2^-10 to 2^20",
                    "最后一步之后与第一步的梯度之比，限于 2^-10 到 2^20",
                ),
                margin=1.0,
                unit="factor",
            ),
            Statement(
                "limit",
                Text(
                    "training is stable only at smaller learning rates than with cross-entropy",
                    "与交叉熵相比，只有更小的学习率才能稳定训练",
                ),
                Text(
                    "largest learning rate up to 6.4 at which the loss ends below its start, cross-entropy over MSE",
                    "使损失最终低于起点的最大学习率（不超过 6.4），交叉熵与 MSE 之比",
                ),
                margin=1.0,
                unit="factor",
            ),
        ),
        experiment=Experiment(explosion, ("exact", "ordinary", "far")),
        setting=Text(
            "Exact: two classes, all outputs from −100 to 100. Trained: a linear model on 120 rows of 3 Gaussian "
            "classes with standardised features, plain gradient descent, 200 steps, 37 rates from 0.00002 to 6.4, 10 "
            "seeds; as they are, or with 5 % of the rows moved outwards by a factor of 30, labels kept. Fixed: rate "
            "0.1. Tuned: the rate with the lowest loss on 120 validation rows.",
            "精确：两类，输出从 −100 到 100。训练：线性模型，3 个高斯类别共 120 行，特征已标准化，普通梯度下降 200 步，"
            "0.00002 到 6.4 之间的 37 个学习率，10 个种子；数据保持原样，或将 5 % 的行向外移动 30 倍而标签不变。固定："
            "学习率 0.1。调优：在 120 行验证数据上损失最低的学习率。",
        ),
        formula="|dL/dz_y|: 4 p (1 - p)^2 <= 16/27 for squared error on two probabilities, 2 |z_y - 1| / C for least "
        "squares, 1 - p <= 1 for cross-entropy",
        instead=Text(
            "Standardise the features and tune the learning rate before you train with `whyloss.SquaredLogitLoss()`, "
            "or take the squared error of probabilities: `whyloss.BrierLoss()`.",
            "使用 `whyloss.SquaredLogitLoss()` 前先标准化特征并调学习率，或改用概率的平方误差 `whyloss.BrierLoss()`。",
        ),
        panels=(
            Panel(
                "slope",
                Text("The gradient of a row", "单个样本的梯度"),
                Text("output of the label", "标签的输出"),
                GRADIENT,
            ),
            Panel(
                "limit",
                Text("The largest stable learning rate (of those up to 6.4)", "最大的稳定学习率（不超过 6.4）"),
                Text("loss", "损失"),
                Text("learning rate", "学习率"),
                mark="bar",
                log_y=True,
            ),
        ),
        words={
            "features": Text("features", "特征"),
            "ordinary": Text("standardised features", "标准化特征"),
            "far": Text("with far points", "含远离的点"),
        },
    ),
    Claim(
        id="S1-7",
        sentence=Text(
            "The factor 2 in the derivative of the square makes the gradients of MSE explode.",
            "MSE 求导时乘以 2 的因子会导致梯度爆炸。",
        ),
        statements=(
            Statement(
                "path",
                Text(
                    "the factor 2 does something that twice the learning rate does not do",
                    "因子 2 的作用不同于把学习率加倍",
                ),
                Text(
                    "largest relative difference of the weights over 200 steps of gradient descent: L at rate 0.02 "
                    "against L / 2 at rate 0.04",
                    "梯度下降 200 步中权重的最大相对差异：学习率 0.02 的 L 与学习率 0.04 的 L / 2",
                ),
                margin=1e-9,
                unit="plain",
            ),
            Statement(
                "worse",
                Text("training with the factor 2 costs accuracy", "保留因子 2 会损失准确率"),
                Text("test accuracy with L / 2 minus that with L", "L / 2 与 L 的测试准确率之差"),
                margin=0.01,
            ),
        ),
        experiment=Experiment(factor_two, ("exact", "sgd", "adam")),
        setting=Text(
            "A linear model on 3 Gaussian classes. Exact: gradient descent in float64. Trained: 150 rows, standardised "
            "features, 300 steps on all rows, 12 seeds. Fixed: rate 0.1 (gradient descent) or 0.01 (Adam). Tuned: the "
            "best of 8 (gradient descent) or 6 (Adam) rates on 300 validation rows.",
            "线性模型，3 个高斯类别。精确：float64 梯度下降。训练：150 行，特征已标准化，用全部行训练 300 步，12 "
            "个种子。固定：学习率 0.1（梯度下降）或 0.01（Adam）。调优：在 300 行验证数据上从 8 个（梯度下降）或 6 "
            "个（Adam）学习率中选最佳。",
        ),
        formula="w - 2 r grad(L / 2) = w - r grad(L)",
        instead=Text(
            "Leave the factor alone and tune the learning rate: for gradient descent `0.5 * whyloss.BrierLoss()` is "
            "`whyloss.BrierLoss()` at half the rate.",
            "不必理会这个因子，直接调学习率：对梯度下降而言，`0.5 * whyloss.BrierLoss()` 就是学习率减半的 "
            "`whyloss.BrierLoss()`。",
        ),
        panels=(
            Panel(
                "path",
                Text("Squared error on probabilities, trained in three ways", "对概率的平方误差，三种训练方式"),
                STEP,
                Text("L on the training rows", "训练数据上的 L"),
            ),
        ),
        words={
            "optimiser": Text("optimiser", "优化器"),
            "sgd": Text("gradient descent", "梯度下降"),
            "adam": Text("Adam", "Adam"),
            "whole": Text("L, rate 0.04", "L，学习率 0.04"),
            "half": Text("L / 2, rate 0.04", "L / 2，学习率 0.04"),
            "half_twice": Text("L / 2, rate 0.08", "L / 2，学习率 0.08"),
        },
    ),
    Claim(
        id="S1-9",
        sentence=Text(
            "With MSE, a small difference between prediction and label makes the gradient small, and the gradient "
            "vanishes.",
            "使用 MSE 时，预测值与真实值差异较小会使梯度较小，从而导致梯度消失。",
        ),
        statements=(
            Statement(
                "small",
                Text("the gradient vanishes as the prediction nears the label", "预测接近标签时梯度消失"),
                Text("gradient at an error of 1/2, ratio to that at 2^-20", "误差为 1/2 与误差为 2^-20 时的梯度之比"),
                margin=1.0,
                unit="factor",
            ),
            Statement(
                "others",
                Text("the gradient of other losses does not vanish there", "其他损失的梯度在此处不消失"),
                Text("gradient at an error of 2^-20, ratio to that at 1/2", "误差为 2^-20 与误差为 1/2 时的梯度之比"),
                margin=1.0,
                unit="factor",
            ),
            Statement(
                "stalls",
                Text("training stalls at a lower accuracy than cross-entropy", "训练停滞，准确率低于交叉熵"),
                Text("test accuracy of cross-entropy minus that of MSE", "交叉熵与 MSE 的测试准确率之差"),
                margin=0.01,
            ),
            Statement(
                "slow",
                Text(
                    "confidence takes longer to go from 90 % to 99 % than with cross-entropy",
                    "置信度从 90 % 升至 99 % 比交叉熵更慢",
                ),
                Text(
                    "steps from 90 % to 99 % mean confidence, ratio to cross-entropy",
                    "平均置信度从 90 % 到 99 % 的步数与交叉熵之比",
                ),
                margin=1.0,
                unit="factor",
            ),
        ),
        experiment=Experiment(vanishing, ("exact", "accuracy", "confidence")),
        setting=Text(
            "Exact: two classes; the error is 1 − p, or the distance of an output from its target. Trained: a linear "
            "model on 3 Gaussian classes in 10 dimensions, plain gradient descent, 14 seeds; for accuracy 150 rows, "
            "standardised features, 300 steps; for confidence 100 rows that can be separated, at most 1,000 steps. "
            "Fixed: rate 0.1. Tuned: for accuracy the best of 12 rates on 300 validation rows, for confidence the "
            "fastest of 8.",
            "精确：两类；误差指 1 − p，或输出与目标的距离。训练：线性模型，10 维的 3 个高斯类别，普通梯度下降，14 "
            "个种子；准确率用 150 行、标准化特征、300 步；置信度用 100 行可分数据，最多 1,000 步。固定：学习率 0.1。"
            "调优：准确率取 300 行验证数据上 12 个学习率中最佳者，置信度取 8 个学习率中最快者。",
        ),
        formula="p -> 1: |dL/dz_y| ~ 4 (1 - p)^2 for squared error on two probabilities, 1 - p for cross-entropy, 2 (1 "
        "- p) for MAE, 3 (1 - p)^3 for focal; least squares: 2 |z_y - 1| / C",
        instead=Text(
            "Judge training by held-out accuracy and not by the size of the gradient; where probabilities have to "
            "become sharper sooner, raise the learning rate or use `whyloss.CrossEntropyLoss()`.",
            "用留出数据的准确率而不是梯度大小来判断训练；若要概率更快变得尖锐，提高学习率或使用 "
            "`whyloss.CrossEntropyLoss()`。",
        ),
        panels=(
            Panel(
                "slope",
                Text("The gradient close to the label", "接近标签时的梯度"),
                Text("error", "误差"),
                GRADIENT,
                log_x=True,
                log_y=True,
            ),
            Panel(
                "doubt",
                Text("Training at rate 0.1", "以学习率 0.1 训练"),
                STEP,
                Text("mean of 1 − p", "1 − p 的均值"),
                log_x=True,
                log_y=True,
            ),
        ),
    ),
    Claim(
        id="S2-8",
        sentence=Text(
            "When p is close to 0 or 1, the gradient of cross-entropy is close to 0, so that it converges slowly.",
            "当预测概率 p 接近 0 或 1 时，交叉熵的梯度接近 0，导致收敛缓慢。",
        ),
        statements=(
            Statement(
                "end",
                Text("the gradient is close to 0", "梯度接近 0"),
                Text(
                    "largest gradient of all, ratio to the gradient 2^-20 from the end",
                    "最大梯度与距端点 2^-20 处的梯度之比",
                ),
                margin=1.0,
                unit="factor",
            ),
            Statement(
                "accuracy",
                Text(
                    "the small gradient delays accuracy: part of it comes only later",
                    "梯度变小拖慢了准确率：部分提升来得很晚",
                ),
                Text(
                    "test accuracy after the last step minus that when the mean confidence first reaches 90 %",
                    "最后一步之后的测试准确率减去平均置信度首次达到 90 % 时的测试准确率",
                ),
                margin=0.01,
            ),
            Statement(
                "tail",
                Text("confidence grows ever more slowly", "置信度的增长越来越慢"),
                Text(
                    "steps from 99 % to 99.9 % mean confidence, ratio to those from 90 % to 99 %",
                    "平均置信度从 99 % 到 99.9 % 与从 90 % 到 99 % 的步数之比",
                ),
                margin=1.0,
                unit="factor",
            ),
        ),
        experiment=Experiment(ends, ("exact", "training")),
        setting=Text(
            "Exact: two classes. Trained: a linear model on 100 rows of 3 Gaussian classes in 10 dimensions that can "
            "be separated, plain gradient descent, at most 3,000 steps, 14 seeds. Fixed: rate 0.1. Tuned: of 8 rates "
            "the one with the best accuracy on 200 validation rows, or the one that is first at 99.9 % confidence.",
            "精确：两类。训练：线性模型，10 维的 3 个可分高斯类别共 100 行，普通梯度下降，最多 3,000 步，14 个种子。"
            "固定：学习率 0.1。调优：8 个学习率中 200 行验证数据准确率最高者，或最先达到 99.9 % 置信度者。",
        ),
        formula="|dL/dz_y| = 1 - p_y, in every case",
        instead=Text(
            "Stop training with `whyloss.CrossEntropyLoss()` when the accuracy on validation rows no longer rises, or "
            "raise the learning rate.",
            "当验证数据上的准确率不再上升时停止 `whyloss.CrossEntropyLoss()` 的训练，或提高学习率。",
        ),
        panels=(
            Panel("slope", Text("The gradient of a row", "单个样本的梯度"), PROBABILITY, GRADIENT),
            Panel(
                "tail",
                Text("Training with cross-entropy at rate 0.1", "交叉熵以学习率 0.1 训练"),
                STEP,
                Text("share", "比例"),
                log_x=True,
                log_y=True,
            ),
        ),
        words={
            "end": Text("label's probability", "标签的概率"),
            "zero": Text("close to 0", "接近 0"),
            "one": Text("close to 1", "接近 1"),
            "doubt": Text("mean of 1 − p on training rows", "训练数据上 1 − p 的均值"),
            "errors": Text("wrong test rows (at least 0.01 %)", "测试错误率（至少 0.01 %）"),
        },
    ),
]
